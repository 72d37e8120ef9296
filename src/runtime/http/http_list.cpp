#include "runtime/http/http_list.hpp"

#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

namespace vitalwire::runtime {

namespace {

constexpr std::size_t kMaxLimit = 100'000;
/// About a millisecond's work.
constexpr std::size_t kPiece = 32U << 10U;
constexpr int kEntriesInAPiece = 500;

class List {
public:
    List(std::size_t limit, std::function<std::optional<ListEntry>()> next_entry)
        : limit_(limit), next_entry_(std::move(next_entry)) {}

    bool append_to(std::string& piece) {
        const std::size_t full = piece.size() + kPiece;
        for (int entries = 0; piece.size() < full && entries < kEntriesInAPiece; ++entries) {
            auto entry = next_entry_();
            if (!entry) return end(piece, "");
            if (entry->json.empty()) continue;
            if (limit_ != 0 && written_ == limit_) return end(piece, last_cursor_);
            if (written_++ != 0) piece += ',';
            piece += entry->json;
            last_cursor_ = std::move(entry->cursor);
        }
        return true;
    }

private:
    static bool end(std::string& piece, const std::string& next) {
        piece += ']';
        if (!next.empty())
            piece += ",\"next\":" + nlohmann::json(next).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        piece += "}\n";
        return false;
    }

    std::size_t limit_;
    std::function<std::optional<ListEntry>()> next_entry_;
    std::size_t written_ = 0;
    std::string last_cursor_;
};

}  // namespace

ListLimit list_limit(const HttpRequest& request) {
    const std::string text = request.query_value("limit");
    if (text.empty()) return {};
    std::size_t entries = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), entries);
    return {error == std::errc{} && end == text.data() + text.size() && entries >= 1 && entries <= kMaxLimit, entries};
}

HttpResponse list_reply(const std::string& name, std::size_t limit,
                        std::function<std::optional<ListEntry>()> next_entry) {
    HttpResponse response{200, "application/json", "{\"" + name + "\":["};
    response.more = [list = std::make_shared<List>(limit, std::move(next_entry))](std::string& piece) {
        return list->append_to(piece);
    };
    return response;
}

}  // namespace vitalwire::runtime

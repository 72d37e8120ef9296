#include "wire/response_cache.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace vitalwire::wire {

namespace {

constexpr std::string_view kResponse = "\"heartbeat_response\"";
constexpr std::string_view kSequence = "\"sequence\"";

/// A longer answer carries a reason, and is rare.
constexpr std::size_t kLongestKept = 512;

/// A number that JSON and the specification allow as it stands: digits, no zero before them.
struct Digits {
    std::int64_t value = 0;
    std::size_t length = 0;  ///< 0: there is none
};

Digits digits_at(std::string_view text) {
    Digits digits;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), digits.value);
    const bool good = error == std::errc() && digits.value >= 0 && digits.value <= kMaxInt31 && text.front() != '-' &&
                      (text.front() != '0' || end == text.data() + 1);
    if (good) digits.length = static_cast<std::size_t>(end - text.data());
    return digits;
}

/// The only number that `key` names, a colon and at most a space behind it; length 0 when it is not so.
struct Place {
    std::size_t at = 0;
    std::size_t length = 0;
};

Place only_number(std::string_view line, std::string_view key) {
    const std::size_t named = line.find(key);
    if (named == std::string_view::npos || line.find(key, named + 1) != std::string_view::npos) return {};
    std::size_t at = named + key.size();
    if (!line.substr(at).starts_with(':')) return {};
    at += line.substr(at).starts_with(": ") ? 2 : 1;
    if (at == line.size()) return {};
    const std::size_t length = digits_at(line.substr(at)).length;
    const std::string_view rest = line.substr(at + length);
    const bool ends = rest.starts_with(',') || rest.starts_with('}');  // it is no fraction
    return {at, ends ? length : 0};
}

}  // namespace

Inbound ResponseCache::read(std::string_view line) {
    if (auto answer = recall(line)) return std::move(*answer);
    Inbound read = read_line(line, channel_, Receiver::host);
    remember(line, read);
    return read;
}

std::optional<HeartbeatMessage> ResponseCache::recall(std::string_view line) const {
    if (line_.empty()) return std::nullopt;
    const std::string_view known = line_;
    std::int64_t response = answer_.value;
    std::size_t begun = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        const Piece& piece = numbers_.at(i);
        const std::string_view before = known.substr(begun, piece.end - begun);
        if (!line.starts_with(before)) return std::nullopt;
        line.remove_prefix(before.size());
        if (line.empty()) return std::nullopt;
        const Digits digits = digits_at(line);
        if (digits.length == 0) return std::nullopt;
        if (piece.is_response) response = digits.value;
        line.remove_prefix(digits.length);
        begun = piece.next;
    }
    if (line != known.substr(begun)) return std::nullopt;
    ChallengeResponse answer = answer_;
    answer.value = response;
    return HeartbeatMessage{std::move(answer), base_version_};
}

/// Without a backslash every quote begins or ends a string, so that a key that is found in the text is a key.
void ResponseCache::remember(std::string_view line, const Inbound& read) {
    const auto* message = std::get_if<HeartbeatMessage>(&read);
    const auto* answer = message == nullptr ? nullptr : std::get_if<ChallengeResponse>(&message->pdu);
    if (answer == nullptr) return;
    line_.clear();
    count_ = 0;
    if (line.size() > kLongestKept || line.find('\\') != std::string_view::npos) return;
    for (const std::string_view key : {kResponse, kSequence}) {
        const auto [at, length] = only_number(line, key);
        if (length > 0) numbers_.at(count_++) = {at, at + length, key == kResponse};
    }
    if (count_ == 0 || !numbers_.front().is_response) return;
    std::sort(numbers_.begin(), numbers_.begin() + static_cast<std::ptrdiff_t>(count_),
              [](const Piece& a, const Piece& b) { return a.end < b.end; });
    line_ = line;
    answer_ = *answer;
    base_version_ = message->base_version;
}

}  // namespace vitalwire::wire

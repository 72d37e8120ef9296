// What a controller finds in its store: rows that somebody else may have written, table TAB key TAB value.
#include <map>
#include <string>

#include "base/log.hpp"
#include "controller/state/alarm_store.hpp"
#include "fuzz.hpp"

using namespace vitalwire;

namespace {

/// In memory; the rows are those of the input.
class Rows final : public runtime::Store {
public:
    explicit Rows(std::string_view text) {
        while (!text.empty()) {
            const std::string_view line = text.substr(0, text.find('\n'));
            text.remove_prefix(std::min(line.size() + 1, text.size()));
            const std::size_t table = line.find('\t');
            const std::size_t key = line.find('\t', table + 1);
            if (table == std::string_view::npos || key == std::string_view::npos) continue;
            rows_[std::string(line.substr(0, table))][std::string(line.substr(table + 1, key - table - 1))] =
                line.substr(key + 1);
        }
    }
    std::map<std::string, std::string> load(const std::string& table) override { return rows_[table]; }
    void put(const std::string& table, const std::string& key, std::string value) override {
        rows_[table][key] = std::move(value);
    }
    void erase(const std::string& table, const std::string& key) override { rows_[table].erase(key); }
    void when_durable(std::function<void()> /*done*/) override {}
    void close() override {}
    bool healthy() const override { return true; }
    std::string problem() const override { return {}; }
    std::uint64_t pending() const override { return 0; }
    const std::string& set_aside() const override { return none_; }

private:
    std::map<std::string, std::map<std::string, std::string>> rows_;
    std::string none_;
};

/// A second load finds what the first one took, for what it did not take is erased.
template <class Load>
void require_stable(Load load) {
    const std::size_t count = load().size();
    FUZZ_REQUIRE(load().size() == count);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    log::set_backend([](log::Level, std::string_view) {});  // a line for each input says nothing here
    Rows rows({reinterpret_cast<const char*>(data), size});
    controller::AlarmStore store(rows);
    require_stable([&] { return store.load_faults(); });
    require_stable([&] { return store.load_acked(); });
    require_stable([&] { return store.load_journal(); });
    require_stable([&] { return store.load_history(); });
    require_stable([&] { return store.load_sinks(); });
    require_stable([&] { return store.load_agents(); });
    require_stable([&] { return store.load_internal_alarms(); });
    return 0;
}

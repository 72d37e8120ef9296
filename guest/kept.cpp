#include "guest/kept.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "guest/app_protocol.hpp"
#include "guest/notification.hpp"
#include "guest/reason.hpp"
#include "wire/json_reader.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::Millis;
using nlohmann::json;

namespace {

constexpr int kStateVersion = 1;
constexpr std::size_t kMaxKind = 32;
constexpr std::size_t kMaxKeptName = 256;
constexpr std::size_t kMaxIdentity = 1024;
constexpr std::size_t kMaxStarted = 32;
constexpr std::size_t kMaxBoot = 64;
constexpr std::int64_t kLongestTime = kNoWatchdog.count();

bool is_fault(const Kept& each) {
    return each.ended || !each.health.healthy;
}

std::string line_of(const Kept& each) {
    json out = {{"kind", each.kind},
                {"name", each.name},
                {"uid", each.uid},
                {"healthy", each.health.healthy},
                {"reason", tidy_reason(each.health.reason)}};
    const auto put = [&](const char* key, const auto& value, bool is_there) {
        if (is_there) out[key] = value;
    };
    put("pid", each.pid, each.pid != 0);
    put("started", each.started, !each.started.empty());
    put("identity", each.identity, !each.identity.empty());
    put("ended", true, each.ended);
    put("stopping", true, each.stopping);
    put("time_ms", each.time.count(), each.time != Millis(0));
    put("own_time_ms", each.own_time.count(), each.own_time != Millis(0));
    put("left_out", each.left_out, each.left_out != 0);
    if (each.health.action) out["action"] = model::to_string(*each.health.action);
    if (each.until != base::kNever)
        out["until_ms"] = std::chrono::duration_cast<Millis>(each.until.time_since_epoch()).count();
    return wire::dump(out) + '\n';
}

std::optional<Kept> parse_line(std::string_view line) {
    wire::JsonDocument document;
    if (!document.read(line)) return std::nullopt;
    const auto& in = document.root();
    const auto kind = wire::read_text(in, "kind", 1, kMaxKind);
    const auto name = wire::read_text(in, "name", 1, kMaxKeptName);
    const auto uid = wire::read_int(in, "uid", 0, UINT32_MAX);
    const auto pid = wire::read_int_or(in, "pid", 0, 0, INT32_MAX);
    const auto healthy = wire::read_bool(in, "healthy");
    const auto reason = wire::read_text_or(in, "reason", "", wire::kMaxReason);
    const auto started = wire::read_text_or(in, "started", "", kMaxStarted);
    const auto identity = wire::read_text_or(in, "identity", "", kMaxIdentity);
    const auto time = wire::read_int_or(in, "time_ms", 0, 0, kLongestTime);
    const auto own_time = wire::read_int_or(in, "own_time_ms", 0, 0, kLongestTime);
    const auto left_out = wire::read_int_or(in, "left_out", 0, 0, UINT32_MAX);
    const auto until = wire::read_int_or(in, "until_ms", 0, 0, INT64_MAX / 1'000'000);
    if (!kind || !name || !uid || !pid || !healthy || !reason || !started || !identity || !time || !own_time ||
        !left_out || !until)
        return std::nullopt;
    Kept each{*kind, *name, static_cast<uid_t>(*uid), static_cast<pid_t>(*pid), *started, *identity};
    each.ended = wire::find(in, "ended") != nullptr;
    each.stopping = wire::find(in, "stopping") != nullptr;
    each.health = {*healthy, *reason, model::parse_corrective_action(wire::text_or(in, "action"))};
    each.time = Millis(*time);
    each.own_time = Millis(*own_time);
    each.left_out = static_cast<std::uint32_t>(*left_out);
    if (*until > 0) each.until = base::TimePoint(Millis(*until));
    return each;
}

std::string_view next_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
}

}  // namespace

std::string encode_kept(std::vector<Kept> all, const std::string& boot, std::size_t& left_out) {
    std::stable_partition(all.begin(), all.end(), is_fault);
    std::string text = wire::dump({{"vitalwired_state", kStateVersion}, {"boot", boot}}) + '\n';
    left_out = 0;
    for (const Kept& each : all) {
        const std::string line = line_of(each);
        text.size() + line.size() <= kMaxKeptBytes ? text += line : (++left_out, text);
    }
    return text;
}

base::Result<std::vector<Kept>> decode_kept(std::string_view text, const std::string& boot) {
    wire::JsonDocument head;
    if (!head.read(next_line(text)) || !wire::read_int(head.root(), "vitalwired_state", kStateVersion, kStateVersion))
        return base::fail(Errc::malformed, "is no state of this vitalwired");
    if (wire::text_or(head.root(), "boot") != boot)
        return base::fail(Errc::not_found, "is of another boot of this machine");
    std::vector<Kept> all;
    while (!text.empty()) {
        if (auto each = parse_line(next_line(text))) all.push_back(std::move(*each));
    }
    return all;
}

}  // namespace vitalwire::guest

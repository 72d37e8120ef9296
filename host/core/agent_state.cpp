#include "host/core/agent_state.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "bus/json.hpp"
#include "bus/limits.hpp"
#include "runtime/unreadable_rows.hpp"
#include "wire/field_reader.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::host {

using base::Millis;
using base::Result;
using heartbeat::Inhibit;
using heartbeat::Registration;
using heartbeat::SaveRegistration;
using nlohmann::json;

namespace {

constexpr const char* kGuests = "guests";
constexpr const char* kFaults = "faults";
constexpr const char* kPolicies = "policies";
constexpr const char* kMaintenance = "maintenance";
constexpr const char* kClosed = "closed";
constexpr const char* kStanding = "standing";
constexpr const char* kAwaited = "awaited";
constexpr const char* kNotices = "notices";
constexpr const char* kChannels = "channels";
constexpr int kClosedVersion = 1;
constexpr std::size_t kMaxRun = 128;
constexpr std::string_view kNative = "native";
constexpr std::string_view kCgcs = "existing";  // as the version before writes and reads it
constexpr std::string_view kGuestAgent = "guest_agent";

std::string_view name_of(wire::Dialect dialect) {
    switch (dialect) {
        case wire::Dialect::native:
            return kNative;
        case wire::Dialect::cgcs:
            return kCgcs;
        case wire::Dialect::guest_agent:
            return kGuestAgent;
    }
    return kNative;
}

Result<Registration> registration_from_json(const json& object) {
    wire::FieldReader in(object);
    Registration registration;
    const std::string dialect = in.text("dialect", 1, 16);
    if (dialect != kNative && dialect != kCgcs && dialect != kGuestAgent)
        in.refuse(base::Errc::bad_field, "key 'dialect': expected native, existing or guest_agent");
    registration.dialect = dialect == kCgcs         ? wire::Dialect::cgcs
                           : dialect == kGuestAgent ? wire::Dialect::guest_agent
                                                    : wire::Dialect::native;
    registration.session = base::SessionId(in.text("session", 1, wire::kMaxSessionId));
    registration.name = in.text("name", 0, wire::kMaxName);
    registration.interval = in.millis("interval_ms", Millis(1), Millis(wire::kMaxInt31));
    registration.response_deadline = in.millis("response_deadline_ms", Millis(1), Millis(wire::kMaxInt31));
    const auto action = model::parse_corrective_action(in.text("corrective_action", 1, 16));
    if (!action) in.refuse(base::Errc::bad_field, "key 'corrective_action': expected none, log, reboot or stop");
    registration.corrective_action = action.value_or(model::CorrectiveAction::none);
    registration.since = base::from_iso8601(in.text("since", 0, 64));
    if (in.has("run")) registration.run = in.text("run", 0, kMaxRun);
    registration.revision = static_cast<int>(in.integer_or("revision", 0, 0, wire::kHeartbeatRevision));
    if (in.has("detection_time_ms"))
        registration.detection_time = in.millis("detection_time_ms", Millis(1), wire::kMaxInterval);
    if (in.has("challenge_interval_ms"))
        registration.challenge_interval = in.millis("challenge_interval_ms", Millis(1), wire::kMaxInterval);
    registration.restart_time = in.millis_or("restart_time_ms", Millis(0), Millis(0), Millis(wire::kMaxInt31));
    const auto notice = [&](const char* key) { return in.millis_or(key, Millis(0), Millis(0), model::kMaxNoticeTime); };
    registration.notice_times = {notice("vote_ms"), notice("shutdown_notice_ms"), notice("suspend_notice_ms"),
                                 notice("resume_notice_ms")};
    return in.finish(std::move(registration));
}

Result<Inhibit> standing_from_json(const json& object) {
    wire::FieldReader in(object);
    const std::string why = in.text("why", 1, 16);
    for (const Inhibit one : {Inhibit::paused, Inhibit::suspended, Inhibit::saving, Inhibit::powered_off}) {
        if (to_string(one) == why) return one;
    }
    in.refuse(base::Errc::bad_field, "key 'why': expected why a machine stands still");
    return in.finish(Inhibit::paused);
}

using UnreadableRows = runtime::UnreadableRows<AgentState::Rows>;

/// Hands every row of `table` that `read` understands to `use`; moves the others to `unreadable`.
template <class Read, class Use>
void load(AgentState::Rows& rows, UnreadableRows& unreadable, const char* table, const Read& read, const Use& use) {
    for (const auto& [key, text] : rows.load(table)) {
        const auto object = wire::parse_object(text);
        auto value = object ? read(*object) : tl::make_unexpected(object.error());
        if (value) {
            use(key, std::move(*value));
        } else {
            unreadable.move(table, key, text, value.error().message);
        }
    }
}

std::string channel_key(const base::GuestId& guest, wire::ChannelKind kind) {
    return guest.str() + ' ' + std::string(wire::channel_name(kind));
}

std::string closed_key(const base::GuestId& guest, model::FaultKind kind) {
    return guest.str() + ' ' + std::string(model::to_string(kind));
}

}  // namespace

json to_json(const SaveRegistration& saved) {
    json out = {{"expected_back", saved.expected_back},
                {"own_heartbeat", saved.own_heartbeat},
                {"restart_time_ms", saved.restart_time.count()}};
    if (!saved.registration) return out;
    const Registration& registration = *saved.registration;
    out["registration"] = {{"dialect", name_of(registration.dialect)},
                           {"session", registration.session.str()},
                           {"name", registration.name},
                           {"interval_ms", registration.interval.count()},
                           {"response_deadline_ms", registration.response_deadline.count()},
                           {"corrective_action", model::to_string(registration.corrective_action)},
                           {"since", base::to_iso8601(registration.since)},
                           {"revision", registration.revision},
                           {"restart_time_ms", registration.restart_time.count()},
                           {"vote_ms", registration.notice_times.vote.count()},
                           {"shutdown_notice_ms", registration.notice_times.shutdown.count()},
                           {"suspend_notice_ms", registration.notice_times.suspend.count()},
                           {"resume_notice_ms", registration.notice_times.resume.count()}};
    json& row = out["registration"];
    if (!registration.run.empty()) row["run"] = registration.run;
    if (registration.detection_time) row["detection_time_ms"] = registration.detection_time->count();
    if (registration.challenge_interval) row["challenge_interval_ms"] = registration.challenge_interval->count();
    return out;
}

Result<SaveRegistration> saved_from_json(const json& object) {
    SaveRegistration saved;
    saved.expected_back = wire::bool_or(object, "expected_back", false);
    saved.own_heartbeat = wire::bool_or(object, "own_heartbeat", false);
    saved.restart_time = Millis(wire::int_or(object, "restart_time_ms", 0));
    const json* found = wire::find(object, "registration");
    if (found == nullptr) return saved;
    auto registration = registration_from_json(*found);
    if (!registration) return tl::make_unexpected(std::move(registration.error()));
    saved.registration = std::move(*registration);
    return saved;
}

std::uint64_t AgentState::load_into(Monitor& monitor) {
    UnreadableRows unreadable(rows_);
    load(rows_, unreadable, kPolicies, bus::guest_policy_from_json,
         [&](const std::string&, model::GuestPolicy policy) { monitor.restore(std::move(policy)); });
    load(rows_, unreadable, kFaults, bus::fault_from_json,
         [&](const std::string&, model::Fault fault) { monitor.restore(std::move(fault)); });
    load(rows_, unreadable, kGuests, saved_from_json, [&](const std::string& guest, SaveRegistration saved) {
        monitor.restore(base::GuestId(guest), std::move(saved));
    });
    load(rows_, unreadable, kStanding, standing_from_json,
         [&](const std::string& guest, Inhibit why) { monitor.restore_standing(base::GuestId(guest), why); });
    load(rows_, unreadable, kClosed, closed_from_json,
         [&](const std::string&, Closed closed) { closed_.push_back(std::move(closed)); });
    load(rows_, unreadable, kAwaited, awaited_from_json,
         [&](const std::string& guest, Awaited awaited) { awaited_.emplace(guest, awaited); });
    newly_unreadable_ = unreadable.moved();
    return unreadable.rows();
}

void AgentState::keep(const base::GuestId& guest, const SaveRegistration& saved) {
    if (saved.empty()) return rows_.erase(kGuests, guest.str());
    rows_.put(kGuests, guest.str(), wire::dump(to_json(saved)));
}

void AgentState::keep(const model::Fault& fault) {
    rows_.put(kFaults, fault.id.str(), wire::dump(bus::to_json(fault)));
}

void AgentState::forget(const base::FaultId& fault) {
    rows_.erase(kFaults, fault.str());
}

Result<AgentState::Closed> AgentState::closed_from_json(const json& object) {
    wire::FieldReader in(object);
    Closed closed;
    in.integer_or("version", kClosedVersion, kClosedVersion, kClosedVersion);
    closed.guest = base::GuestId(in.text("guest", 1, bus::kMaxGuestId));
    const auto kind = model::parse_fault_kind(in.text("kind", 1, 64));
    if (!kind) in.refuse(base::Errc::bad_field, "key 'kind': expected a kind of fault");
    closed.fault.kind = kind.value_or(model::FaultKind::heartbeat_lost);
    closed.fault.detail = wire::text_or(object, "detail");
    closed.fault.reason = wire::text_or(object, "reason");
    closed.fault.corrective_action = model::parse_corrective_action(wire::text_or(object, "corrective_action"));
    closed.starts = static_cast<std::uint64_t>(std::max<std::int64_t>(wire::int_or(object, "starts", 0), 0));
    return in.finish(std::move(closed));
}

void AgentState::keep_closed(const base::GuestId& guest, model::FaultKind kind,
                             const std::optional<heartbeat::OpenFault>& closed) {
    if (!closed) return rows_.erase(kClosed, closed_key(guest, kind));
    json row = {{"version", kClosedVersion}, {"guest", guest.str()},     {"kind", model::to_string(kind)},
                {"detail", closed->detail},  {"reason", closed->reason}, {"starts", starts_}};
    if (closed->corrective_action) row["corrective_action"] = model::to_string(*closed->corrective_action);
    rows_.put(kClosed, closed_key(guest, kind), wire::dump(row));
}

void AgentState::keep_standing(const base::GuestId& guest, std::optional<Inhibit> why) {
    if (!why) return rows_.erase(kStanding, guest.str());
    rows_.put(kStanding, guest.str(), wire::dump({{"why", to_string(*why)}}));
}

Result<AgentState::Awaited> AgentState::awaited_from_json(const json& object) {
    wire::FieldReader in(object);
    Awaited awaited;
    awaited.waited.answer = in.millis("answer_ms", Millis(0), Millis::max());
    awaited.waited.registration = in.millis("registration_ms", Millis(0), Millis::max());
    awaited.starts = static_cast<std::uint64_t>(std::max<std::int64_t>(wire::int_or(object, "starts", 0), 0));
    return in.finish(awaited);
}

void AgentState::keep_waited(const base::GuestId& guest, const heartbeat::Waited& waited) {
    if (waited.empty()) return rows_.erase(kAwaited, guest.str());
    rows_.put(kAwaited, guest.str(),
              wire::dump({{"answer_ms", waited.answer.count()},
                          {"registration_ms", waited.registration.count()},
                          {"starts", starts_}}));
}

void AgentState::begin_life(std::uint64_t starts, Monitor& monitor) {
    starts_ = starts;
    for (const Closed& closed : std::exchange(closed_, {})) {
        const bool counts = closed.starts + 1 == starts;
        keep_closed(closed.guest, closed.fault.kind, counts ? std::optional(closed.fault) : std::nullopt);
        if (counts) monitor.restore_closed(closed.guest, closed.fault);
    }
    for (const auto& [guest, awaited] : std::exchange(awaited_, {})) {
        const bool counts = awaited.starts + 1 == starts;
        keep_waited(guest, counts ? awaited.waited : heartbeat::Waited{});
        if (counts) monitor.restore_waited(guest, awaited.waited);
    }
}

void AgentState::keep_notified(const base::GuestId& guest, bool notified) {
    notified ? rows_.put(kMaintenance, guest.str(), "{}") : rows_.erase(kMaintenance, guest.str());
}

std::vector<base::GuestId> AgentState::notified() const {
    std::vector<base::GuestId> guests;
    for (const auto& [guest, row] : rows_.load(kMaintenance))
        guests.emplace_back(guest);
    return guests;
}

void AgentState::keep_notices(const base::GuestId& guest, const GuestActions::Waiting& waiting, const std::string& boot,
                              base::TimePoint now) {
    if (waiting.empty()) return rows_.erase(kNotices, guest.str());
    json until = json::object();
    for (const auto& [event, left] : waiting)
        until[std::string(model::to_string(event))] =
            std::chrono::duration_cast<Millis>((now + left).time_since_epoch()).count();
    rows_.put(kNotices, guest.str(), wire::dump({{"boot", boot}, {"until_ms", until}}));
}

std::map<base::GuestId, GuestActions::Waiting> AgentState::notices(const std::string& boot, base::TimePoint now) const {
    std::map<base::GuestId, GuestActions::Waiting> out;
    for (const auto& [guest, text] : rows_.load(kNotices)) {
        const auto row = wire::parse_object(text);
        const json* until = row ? wire::find(*row, "until_ms") : nullptr;
        const bool of_this_boot = until != nullptr && wire::text_or(*row, "boot") == boot;
        for (const model::LifecycleEvent event : model::all_lifecycle_events()) {
            const std::string name(model::to_string(event));
            if (until == nullptr || !until->is_object() || !until->contains(name)) continue;
            const Millis at(wire::int_or(*until, name.c_str(), 0));
            out[base::GuestId(guest)][event] = of_this_boot ? base::TimePoint(at) - now : base::Duration::zero();
        }
        if (!out.contains(base::GuestId(guest))) rows_.erase(kNotices, guest);
    }
    return out;
}

std::map<std::pair<base::GuestId, wire::ChannelKind>, KeptChannel> AgentState::channels() const {
    std::map<std::pair<base::GuestId, wire::ChannelKind>, KeptChannel> out;
    for (const auto& [key, text] : rows_.load(kChannels)) {
        const auto row = wire::parse_object(text);
        const auto kind = row ? wire::channel_kind(wire::text_or(*row, "channel")) : std::nullopt;
        if (!kind) {
            rows_.erase(kChannels, key);
            continue;
        }
        const KeptChannel channel{base::GuestId(wire::text_or(*row, "guest")), *kind, wire::text_or(*row, "path"),
                                  wire::text_or(*row, "socket"), Millis(wire::int_or(*row, "end_known_within_ms", 0))};
        out.emplace(std::pair(channel.guest, *kind), channel);
    }
    return out;
}

void AgentState::keep_channel(const KeptChannel& channel) {
    rows_.put(kChannels, channel_key(channel.guest, channel.kind),
              wire::dump({{"guest", channel.guest.str()},
                          {"channel", wire::channel_name(channel.kind)},
                          {"path", channel.path},
                          {"socket", channel.socket},
                          {"end_known_within_ms", channel.end_known_within.count()}}));
}

void AgentState::forget_channel(const base::GuestId& guest, wire::ChannelKind kind) {
    rows_.erase(kChannels, channel_key(guest, kind));
}

void AgentState::erase_policy(const base::GuestId& guest) {
    rows_.erase(kPolicies, guest.str());
}

void AgentState::keep(const bus::Policies& policies, const Monitor& monitor) {
    if (policies.complete) {
        for (const auto& [guest, policy] : monitor.policies())
            rows_.erase(kPolicies, guest.str());
    }
    for (const model::GuestPolicy& policy : policies.policies)
        rows_.put(kPolicies, policy.guest.str(), wire::dump(bus::to_json(policy)));
}

}  // namespace vitalwire::host

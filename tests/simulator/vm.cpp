#include "vm.hpp"

#include <algorithm>
#include <utility>

#include "host_node.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::simulator {

namespace {

constexpr seconds kProbe{1};  // guest/monitor_clock.cpp
constexpr Duration kFastest = std::chrono::microseconds(100);
constexpr Millis kSlowest{4};
// Even a good channel holds old bytes: of an earlier connection, or the same again.
constexpr double kStale = 0.02;
constexpr double kRepeated = 0.002;
constexpr Millis kMemberTurn{2000};

std::string_view without_newlines(std::string_view line) {
    if (line.starts_with('\n')) line.remove_prefix(1);
    if (line.ends_with('\n')) line.remove_suffix(1);
    return line;
}

}  // namespace

Vm::Vm(World& world, Plan plan, GroupObserver& observer)
    : world_(world), plan_(std::move(plan)), observer_(observer), inbox_(world), clock_(kProbe) {}

template <class Change>
void Vm::changing(Change change) {
    const bool was_mute = mute();
    const bool was_excused = excused();
    change();
    if (mute() && !was_mute) mute_since_ = world_.now();
    if (!mute() && was_mute) last_mute_ = world_.now();
    if (!excused() && was_excused) last_excused_ = world_.now();
}

void Vm::boot(Duration time) {
    last_off_ = last_off();
    changing([&] {
        power_ = Power::running;
        hung_ = false;
        expected_away_ = true;
        renew_inbox();
        stand_still_or_run();
    });
    world_.after(time, [this, daemons = daemons_] {
        if (power_ != Power::off && power_ != Power::crashed && !daemon_ && daemons == daemons_) start_daemon();
    });
}

void Vm::power_off(Power how) {
    if (how == Power::crashed) last_crash_ = world_.now();
    changing([&] {
        power_ = how;
        daemon_.reset();
        member_.reset();
        expected_away_ = true;
        ++daemons_;
        connected_ = false;
        ++connection_;
        inbox_.renew();
    });
}

void Vm::pause() {
    changing([&] { power_ = Power::paused; });
    stand_still_or_run();
}

void Vm::unpause() {
    changing([&] { power_ = Power::running; });
    stand_still_or_run();
}

void Vm::set_hung(bool hung) {
    changing([&] { hung_ = hung; });
    stand_still_or_run();
}

void Vm::stand_still_or_run() {
    if (hung_ || power_ == Power::paused) {
        judged_now();
        stood_still_ = true;
        inbox_.suspend();
    } else {
        inbox_.resume();
    }
}

void Vm::start_daemon() {
    if (daemon_ || !listens()) return;
    changing([&] {
        ++daemons_;
        const auto invocation = static_cast<std::int64_t>(world_.below(1U << 30U));
        daemon_ = make_guest_program(plan_.kind, plan_.settings, invocation);
        member_ = std::make_unique<GroupMember>(world_, id(), observer_,
                                                [this](const std::string& line) { to_host(line, true); });
        clock_ = heartbeat::StallClock(kProbe);
        clock_seen_ = world_.now();
        expected_away_ = false;
    });
    if (plan_.by_call) host_->guest_agent_port_changed(*this);
    if (connected_) host_connected();
    member_turn();
}

void Vm::stop_daemon(bool in_order) {
    if (!daemon_) return;
    // Who is not registered yet has no session to end, and the host may just have made one.
    const bool says_exit = in_order && connected_ && daemon_->registered();
    if (in_order) write(daemon_->stop());
    changing([&] {
        daemon_.reset();
        member_.reset();
        expected_away_ = says_exit;
        ++daemons_;
        renew_inbox();
        stand_still_or_run();
    });
    if (plan_.by_call) host_->guest_agent_port_changed(*this);
}

/// Nothing waits for who reads next.
void Vm::renew_inbox() {
    inbox_.renew();
    if (std::exchange(group_waits_, false) && connected_) host_->group_read(*this);
}

void Vm::set_healthy(bool healthy) {
    const bool says_so = plan_.kind != GuestKind::guest_agent;
    if (health_.healthy == healthy || !says_so) return;
    if (healthy) last_unhealthy_ = world_.now();
    health_ = {healthy, healthy ? "" : "disk full"};
    health_changed_ = world_.now();
}

void Vm::set_noise(double loss, Duration delay) {
    changing([&] {
        loss_ = loss;
        delay_ = delay;
    });
}

void Vm::host_connected() {
    connected_ = true;
    last_connected_ = world_.now();
    inbox_.run([this] {
        if (!daemon_) return;
        write(daemon_->connected(judged_now()));
        arm();
    });
}

void Vm::host_disconnected() {
    connected_ = false;
    ++connection_;
    inbox_.run([this] {
        if (!daemon_) return;
        daemon_->disconnected();
        arm();
        member_->host_gone();
    });
}

void Vm::from_host(std::string line) {
    travel(last_arrival_in_guest_, false, [this, line = std::move(line)] {
        log_traffic(" < ", line);
        inbox_.run([this, line] { receive(line); });
    });
}

void Vm::to_host(const std::string& line, bool of_group) {
    if (!connected_) return;
    travel(last_arrival_at_host_, of_group, [this, line] {
        log_traffic(" > ", line);
        host_->from_guest(*this, line);
    });
}

void Vm::group_from_host(std::string lines) {
    travel(last_arrival_in_guest_, true, [this, lines = std::move(lines), connection = connection_] {
        group_waits_ = true;
        inbox_.run([this, lines, connection] {
            group_waits_ = false;
            read_group(lines);
            if (connection == connection_) host_->group_read(*this);
        });
    });
}

/// While no daemon has the port open, the device drops what comes.
void Vm::read_group(const std::string& lines) {
    for (std::size_t begin = 0, end = 0; begin < lines.size(); begin = end + 1) {
        end = std::min(lines.find('\n', begin), lines.size());
        if (end == begin || !member_) continue;
        const std::string_view line(&lines[begin], end - begin);
        log_traffic(" < ", std::string(line));
        const auto message = wire::read_line(line, wire::ChannelKind::native, wire::Receiver::guest);
        member_->received(std::get<wire::GroupMessage>(message).pdu);
    }
}

void Vm::member_turn() {
    if (!plan_.policy.messaging) return;
    world_.after(world_.between(kMemberTurn / 2, kMemberTurn), [this, daemons = daemons_] {
        if (daemons != daemons_) return;
        inbox_.run([this, daemons] {
            if (daemons != daemons_ || !member_) return;
            if (connected_) member_->turn();
            member_turn();
        });
    });
}

void Vm::log_traffic(const char* direction, const std::string& line) const {
    if (world_.tells_everything()) world_.log(id().str() + direction + std::string(without_newlines(line)));
}

/// In order; gone with the connection, unless it lingers in a buffer. What is lost or doubled in here is heartbeats.
template <class Deliver>
void Vm::travel(TimePoint& last_arrival, bool of_group, Deliver deliver) {
    if (!of_group && world_.chance(loss_)) return;
    const Duration detour = noisy() ? world_.between({}, delay_) : Duration{};
    last_arrival = std::max(last_arrival, world_.now() + world_.between(kFastest, kSlowest) + detour);
    const bool stale = world_.chance(kStale);
    for (int copies = !of_group && world_.chance(kRepeated) ? 2 : 1; copies > 0; --copies) {
        world_.at(last_arrival, [this, deliver, stale, connection = connection_] {
            if (connection == connection_ || (stale && listens())) deliver();
        });
    }
}

void Vm::receive(const std::string& line) {
    if (!daemon_ || !connected_) return;
    write(daemon_->received(without_newlines(line), health_, judged_now()));
    arm();
}

void Vm::write(const GuestProgram::Lines& lines) {
    for (const std::string& line : lines)
        to_host(line, false);
}

void Vm::arm() {
    const std::uint64_t timer = ++timer_;
    if (!daemon_) return;
    const TimePoint due = clock_.to_steady(daemon_->next_deadline());
    if (due == base::kNever) return;
    world_.at(std::max(due, world_.now()), [this, timer] {
        inbox_.run([this, timer] {
            if (timer != timer_ || !daemon_) return;
            write(daemon_->tick(judged_now()));
            arm();
        });
    });
}

/// As if the daemon's probe had run whenever the VM did: a gap is what it stood still.
TimePoint Vm::judged_now() {
    while (!stood_still_ && world_.now() - clock_seen_ > kProbe) {
        clock_seen_ += kProbe;
        clock_.observe(clock_seen_);
    }
    stood_still_ = false;
    clock_seen_ = world_.now();
    return clock_.observe(clock_seen_);
}

}  // namespace vitalwire::simulator

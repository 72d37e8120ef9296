// What of AgentCore reads and writes the state on disk.

#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/log.hpp"
#include "bus/limits.hpp"
#include "host/core/agent_core.hpp"

namespace vitalwire::host {

using base::GuestId;

namespace {

// Where the agent keeps what it knows of its state itself.
constexpr const char* kAgentTable = "agent";
constexpr const char* kStateId = "state";
constexpr const char* kStateStarts = "starts";
constexpr const char* kStateChanges = "changes";
constexpr const char* kBootId = "boot";
constexpr const char* kLives = "lives";
constexpr const char* kRestarts = "restarts";
constexpr const char* kClock = "the clock differs from that of a controller";
constexpr base::Duration kClocksShown = std::chrono::seconds(10);
constexpr const char* kStateLost = "the agent began without the state that a controller knows";
constexpr base::Duration kStateLostShown = std::chrono::minutes(10);
constexpr const char* kRestarted = "the agent is restarted again and again";

/// Instances in order, each that has ended with the number of changes then: "A:12 B:17 C". The last one lived until
/// now, when there are `changes`.
std::vector<bus::Hello::Life> read_lives(const std::string& row, std::uint64_t changes) {
    std::vector<bus::Hello::Life> lives;
    std::istringstream words(row);
    for (std::string word; words >> word;) {
        const std::size_t colon = word.find(':');
        const bool ended = colon != std::string::npos;
        lives.push_back(
            {word.substr(0, colon), ended ? std::strtoull(word.c_str() + colon + 1, nullptr, 10) : changes});
    }
    return lives;
}

std::string lives_row(const std::vector<bus::Hello::Life>& earlier, const std::string& now) {
    std::string row;
    for (const bus::Hello::Life& life : earlier)
        row += life.instance + ':' + std::to_string(life.state_changes) + ' ';
    return row + now;
}

}  // namespace

void AgentCore::load_state() {
    load_places();
    counters_.rows_unreadable = state_.load_into(monitor_);
    for (const GuestId& guest : state_.notified())
        maintenance_.restore(guest);
    for (const auto& [guest, waiting] : state_.notices(identity_.self.boot, at_.steady))
        actions_.restore(guest, waiting, judged(at_).now);
    if (counters_.rows_unreadable == 0) return;
    set_problem("rows of the state cannot be read",
                std::to_string(counters_.rows_unreadable) + " of them, kept in its section 'unreadable'");
}

/// A controller tells by the id and the count an agent that kept its faults from one that lost them.
void AgentCore::start_state() {
    auto rows = output_.load(kAgentTable);
    // A row that cannot be read may have been an open fault.
    const bool fresh = rows[kStateId].empty() || state_.newly_unreadable() > 0;
    state_id_ = fresh ? identity_.new_state : rows[kStateId];
    state_starts_ = std::strtoull(rows[kStateStarts].c_str(), nullptr, 10) + 1;
    state_changes_ = std::strtoull(rows[kStateChanges].c_str(), nullptr, 10);
    controllers_.state_changed(state_changes_);
    if (!fresh) lives_ = read_lives(rows[kLives], state_changes_);
    if (lives_.size() > bus::kMaxLives) lives_.erase(lives_.begin(), lives_.end() - bus::kMaxLives);
    output_.put(kAgentTable, kLives, lives_row(lives_, identity_.self.instance));
    const std::string& boot = rows[kBootId];
    host_restarted_ = !boot.empty() && !identity_.self.boot.empty() && boot != identity_.self.boot;
    if (fresh) output_.put(kAgentTable, kStateId, state_id_);
    output_.put(kAgentTable, kStateStarts, std::to_string(state_starts_));
    state_.begin_life(state_starts_, monitor_);
    if (host_restarted_) monitor_.forget_runs();
    load_channels();
    output_.put(kAgentTable, kBootId, identity_.self.boot);
    const Restarts restarts(rows[kRestarts], identity_.self.boot, at_.steady);
    output_.put(kAgentTable, kRestarts, restarts.row());
    restarted_until_ = restarts.ends_at();
    if (restarted_until_ != base::kNever) set_problem(kRestarted, restarts.problem());
}

/// What nobody can see on this host itself: times of faults are by its clock.
void AgentCore::show_clocks(const base::Moment& at) {
    set_problem(kClock, controller_clocks_.problem(at));
    show_clocks_at_ = controller_clocks_.any() ? at.steady + kClocksShown : base::kNever;
}

void AgentCore::notice_expired(const GuestId& guest, model::LifecycleEvent event) {
    log::warning("a guest was not reached in time for the notice of an action",
                 {{"guest", guest}, {"event", model::to_string(event)}});
}

void AgentCore::end_restarted(base::TimePoint now) {
    if (now < restarted_until_) return;
    restarted_until_ = base::kNever;
    set_problem(kRestarted, "");
}

void AgentCore::state_quarantined(const std::string& path) {
    set_problem("the store was unreadable: quarantined, starting empty", path);
}

/// A host that was installed once more is no problem for longer than it takes to see it.
void AgentCore::note_state_lost(const bus::HandBack& handed) {
    guests_handed_back_ += handed.guests.size();
    faults_handed_back_ += handed.faults.size();
    if (guests_handed_back_ + faults_handed_back_ == 0) return;
    set_problem(kStateLost, "registrations handed back: " + std::to_string(guests_handed_back_) +
                                ", faults: " + std::to_string(faults_handed_back_));
    state_lost_until_ = at_.steady + kStateLostShown;
}

void AgentCore::end_state_lost(base::TimePoint now) {
    if (now < state_lost_until_) return;
    state_lost_until_ = base::kNever;
    guests_handed_back_ = faults_handed_back_ = 0;
    set_problem(kStateLost, "");
}

/// With the row that changes: on the disk both are there or neither.
void AgentCore::count_change() {
    output_.put(kAgentTable, kStateChanges, std::to_string(++state_changes_));
    controllers_.state_changed(state_changes_);
}

/// A guest that a complete list does not name any more is not switched off by that while a fault of it is open: the
/// list may be wrong, and absence ends no fault.
bus::Policies AgentCore::with_those_of_faulty(bus::Policies policies) {
    if (!policies.complete) return policies;
    std::set<GuestId> named;
    for (const model::GuestPolicy& policy : policies.policies)
        named.insert(policy.guest);
    unnamed_.clear();
    for (const auto& [guest, policy] : monitor_.policies()) {
        if (named.contains(guest) || !monitor_.faulty(guest)) continue;
        policies.policies.push_back(policy);
        unnamed_.insert(guest);
    }
    return policies;
}

void AgentCore::drop_policies_of_unnamed() {
    const Judged now = judged(at_);
    for (auto guest = unnamed_.begin(); guest != unnamed_.end();) {
        if (monitor_.faulty(*guest)) {
            ++guest;
            continue;
        }
        state_.erase_policy(*guest);
        monitor_.erase_policy(*guest, now.now, now.wall);
        groups_.forget(*guest);
        guest = unnamed_.erase(guest);
    }
}

void AgentCore::policies_changed(const bus::Policies& received) {
    for (const model::GuestPolicy& policy : received.policies)
        unnamed_.erase(policy.guest);
    const bus::Policies policies = with_those_of_faulty(received);
    state_.keep(policies, monitor_);
    std::vector<GuestId> known;
    for (const auto& [guest, policy] : monitor_.policies())
        known.push_back(guest);
    const Judged now = judged(at_);
    monitor_.set_policies(policies, now.now, now.wall);
    for (const GuestId& guest : known) {
        if (!monitor_.policies().contains(guest)) groups_.forget(guest);
    }
    for (const model::GuestPolicy& policy : policies.policies)
        allow(policy);
    want_channels();
    watch_io();
}

}  // namespace vitalwire::host

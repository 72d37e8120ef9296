#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "group/member_session.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

class GroupMember;

/// Is called with everything that applications send and receive.
class GroupObserver {
public:
    virtual ~GroupObserver() = default;
    virtual void broadcast_sent(const GroupMember& member, const std::string& payload) = 0;
    virtual void broadcast_refused(const GroupMember& member, const std::string& payload) = 0;
    virtual void broadcast_received(const GroupMember& member, const wire::Delivery& message) = 0;
    virtual void state_received(const GroupMember& member, const wire::MemberState& state, bool answer) = 0;
};

/// An application in a guest that uses the server group: a real MemberSession. It asks for the states of its peers when
/// it starts, and when it was told that it missed something; after that it keeps them by what it is notified of.
class GroupMember final : private group::MemberSession::Events {
public:
    using Send = std::function<void(std::string line)>;

    GroupMember(World& world, base::GuestId guest, GroupObserver& observer, Send send)
        : world_(world), guest_(std::move(guest)), observer_(observer), send_(std::move(send)) {}

    const base::GuestId& guest() const { return guest_; }

    /// What it does now and then of its own accord.
    void turn();
    void received(const wire::GroupPdu& pdu) { session_.received(pdu); }
    void host_gone() { session_.connection_ended({base::Errc::disconnected, "the host went away"}); }

    bool knows() const { return known_; }
    /// When it asked last.
    TimePoint asked_at() const { return asked_at_; }
    /// It has asked, was answered, and is not waiting for anything.
    bool settled() const { return known_ && !asked_; }
    /// The states of its peers, and its own if it was told it, by id.
    const std::map<std::string, wire::MemberState>& states() const { return states_; }

private:
    void ask();
    void broadcast();

    // group::MemberSession::Events
    void broadcast(const wire::Delivery& message) override;
    void notification(const wire::Notification& message) override;
    void refused(const wire::Nack& nack) override;
    void dropped(std::uint64_t count) override;
    void status(const group::Queries::Outcome& outcome) override;

    World& world_;
    base::GuestId guest_;
    GroupObserver& observer_;
    Send send_;
    group::MemberSession session_{*this, 1'000'000};
    bool known_ = false;
    bool asked_ = false;
    TimePoint asked_at_{};
    std::set<std::string> notified_;  ///< of whom since it asked last: an answer may be older
    std::map<std::string, wire::MemberState> states_;
    std::map<std::int64_t, std::string> sent_;  ///< lately, by `seq`
};

}  // namespace vitalwire::simulator

#include "guest_program.hpp"

#include <cstdlib>
#include <utility>

#include "wire/guest_agent_codec.hpp"
#include "wire/heartbeat_codec.hpp"

namespace vitalwire::simulator {

using heartbeat::GuestSession;

namespace {

/// The real GuestSession. One of an older or foreign kind is what such a guest leaves out of its messages, and reads
/// into those of its host.
class SessionProgram final : public GuestProgram {
public:
    SessionProgram(GuestKind kind, const heartbeat::GuestSettings& settings, std::int64_t invocation)
        : kind_(kind), settings_(settings), session_(settings, invocation) {}

    Lines connected(TimePoint now) override {
        session_.connected(now, actions_);
        return written();
    }
    void disconnected() override {
        session_.disconnected(actions_);
        written();
    }
    Lines received(std::string_view line, const heartbeat::Health& health, TimePoint now) override {
        auto inbound = wire::read_line(line, channel_of(kind_), wire::Receiver::guest);
        auto* message = std::get_if<wire::HeartbeatMessage>(&inbound);
        if (message == nullptr) return {};
        if (kind_ == GuestKind::cgcs) add_session(message->pdu);
        session_.received(message->pdu, health, now, actions_);
        return written();
    }
    Lines tick(TimePoint now) override {
        session_.tick(now, actions_);
        return written();
    }
    Lines stop() override {
        session_.stop("asked to", actions_);
        return written();
    }
    TimePoint next_deadline() const override { return session_.next_deadline(); }
    bool registered() const override { return session_.registered(); }

private:
    /// The cgcs dialect has no sessions: an acknowledgement begins one, and all challenges are of the last.
    void add_session(wire::HeartbeatPdu& pdu) const {
        if (auto* ack = std::get_if<wire::InitAck>(&pdu)) {
            ack->session = base::SessionId("of-" + std::to_string(ack->invocation_id));
            ack->interval = ack->response_deadline = settings_.interval.value_or(wire::kDefaultInterval);
        } else if (auto* challenge = std::get_if<wire::Challenge>(&pdu)) {
            challenge->session = last_session_;
        }
    }

    /// Of the first release: an interval and a deadline.
    static void reduce(wire::Init& init) {
        init.revision = 0;
        init.detection_time.reset();
        init.challenge_interval.reset();
        init.notice_times = {};
    }

    Lines written() {
        Lines lines;
        for (auto& action : std::exchange(actions_, {})) {
            if (const auto* registered = std::get_if<GuestSession::Registered>(&action))
                last_session_ = registered->session;
            auto* send = std::get_if<GuestSession::SendPdu>(&action);
            if (send == nullptr) continue;
            auto* init = std::get_if<wire::Init>(&send->pdu);
            if (init != nullptr && kind_ == GuestKind::revision_0) reduce(*init);
            lines.push_back(wire::encode_heartbeat(send->pdu, wire::dialect_of(channel_of(kind_)), ++sequence_));
        }
        return lines;
    }

    GuestKind kind_;
    heartbeat::GuestSettings settings_;
    GuestSession session_;
    GuestSession::Actions actions_;
    base::SessionId last_session_;
    std::uint32_t sequence_ = 0;
};

/// As qemu-ga: it echoes the id of each guest-sync, and answers what resets its parser with an error.
class GuestAgent final : public GuestProgram {
public:
    Lines received(std::string_view line, const heartbeat::Health&, TimePoint) override {
        constexpr std::string_view kId = R"("id":)";
        Lines lines;
        if (line.starts_with(wire::kGuestAgentReset))
            lines.push_back(R"({"error": {"class": "GenericError", "desc": "JSON parse error"}})"
                            "\n");
        const std::string id(line.substr(line.find(kId) + kId.size()));
        lines.push_back(wire::encode_guest_agent(wire::ChallengeResponse{{}, std::atoll(id.c_str()), true, {}, {}}));
        return lines;
    }
};

}  // namespace

wire::ChannelKind channel_of(GuestKind kind) {
    switch (kind) {
        case GuestKind::current:
        case GuestKind::revision_0:
            return wire::ChannelKind::native;
        case GuestKind::cgcs:
            return wire::ChannelKind::cgcs_heartbeat;
        case GuestKind::guest_agent:
            return wire::ChannelKind::guest_agent;
    }
    return wire::ChannelKind::native;
}

std::string_view words_of(GuestKind kind) {
    switch (kind) {
        case GuestKind::current:
            break;
        case GuestKind::revision_0:
            return " with a daemon of revision 0";
        case GuestKind::cgcs:
            return " with a cgcs client";
        case GuestKind::guest_agent:
            return " with a QEMU guest agent";
    }
    return "";
}

std::unique_ptr<GuestProgram> make_guest_program(GuestKind kind, const heartbeat::GuestSettings& settings,
                                                 std::int64_t invocation) {
    if (kind == GuestKind::guest_agent) return std::make_unique<GuestAgent>();
    return std::make_unique<SessionProgram>(kind, settings, invocation);
}

}  // namespace vitalwire::simulator

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "group/member_session.hpp"
#include "guest/app_protocol.hpp"
#include "guest/lib/own_process.hpp"
#include "heartbeat/guest_session.hpp"
#include "wire/group_pdu.hpp"

namespace vitalwire::guest {

/// The application's end of vitalwired's socket: what libvitalwire does, in C++. Owns one epoll descriptor that stays
/// the same while connections come and go, so that the application polls one descriptor during its whole life.
///
/// A child that the application forks has copies of the descriptors. epoll and the timer are shared with it, so it must
/// close its copies and do nothing else; the destructor does just that in any process but the one that opened.
class Client {
public:
    /// What the application is told, from within `dispatch`.
    class Events : public group::MemberSession::Events {
    public:
        virtual void connection_changed(bool connected) = 0;
        /// `is_refusal`: the application is not watched for that reason, which it was not told yet.
        virtual void cannot_connect(const std::string& why, bool is_refusal) = 0;
        /// How the application is now; `current` is what it said last.
        virtual heartbeat::Health health(const heartbeat::Health& current) = 0;
        /// The registration was accepted, or refused for another reason than before; it is repeated by itself.
        virtual void registration(const base::Result<void>& outcome) = 0;
        virtual void action(const app::Action& question) = 0;
    };

    static base::Result<std::unique_ptr<Client>> open(std::string socket_path, Events& events);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    int descriptor() const { return epoll_; }
    bool connected() const { return socket_ >= 0; }
    bool has_registration() const { return registration_.has_value(); }

    /// True in the process that opened; false in a child that it has forked.
    bool is_own_process() const;
    base::Result<void> dispatch(bool only_one);
    /// `is_asked`: the next dispatch asks how it is and sends that, else `registration` is sent as it stands.
    void register_application(app::Register registration, bool is_asked);
    void report(heartbeat::Health health);
    void deregister();
    /// Has vitalwired answer when it has carried out what was registered, reported and deregistered so far. Asked again
    /// in the next connection, where the registration says it all; a deregistration is lost with its connection.
    void confirm();
    bool is_confirmed() const { return confirmed_ && (!registration_ || is_registered_); }
    void subscribe(app::Subscribe wish);
    void want_actions(bool wanted);
    /// Fails with disconnected, or too_many when it cannot be sent now.
    base::Result<void> vote(app::Vote vote);
    /// Both give the `seq` of what was sent. They fail with disconnected, or too_many when it cannot be sent now.
    base::Result<std::int64_t> broadcast(std::string payload);
    base::Result<std::int64_t> query(base::Millis timeout);
    /// Waits at most half a second until a deregistration is under way.
    void finish();

private:
    /// What has to be sent as soon as the socket takes it; each at most once, so nothing queues up.
    struct Outbox {
        bool deregister = false;
        bool register_ = false;
        bool report = false;
        bool subscribe = false;
        bool actions = false;
        bool confirm = false;
        std::optional<std::int64_t> answer;
    };
    Client(std::string socket_path, Events& events, int epoll, int timer);

    void timer_expired();
    void connect();
    void cannot_connect(int error);
    void connect_later();
    void start_timer(std::chrono::nanoseconds time);
    void arm_timer();
    void end_connection();
    void disconnect();
    /// False when there was nothing to receive.
    bool receive();
    void receive_group(std::string_view datagram);
    base::Result<std::int64_t> send_group(const group::MemberSession::Outgoing& message);
    void handle(const app::Registered& event);
    void handle(const app::Refused& event);
    void handle(const app::Query& event);
    void handle(const app::Done&) {}
    void handle(const app::Status& answer);
    void handle(const app::Action& question) { events_.action(question); }
    bool ask_health();
    void want_registration();
    void flush();
    // False while it cannot be sent.
    bool send_deregistration();
    bool send_registration();
    bool send_health();
    bool send_subscription();
    bool send_want_actions();
    bool send_confirm();
    bool send(const app::Request& request);
    void watch_socket();

    std::string socket_path_;
    Events& events_;
    group::MemberSession group_;
    OwnProcess process_;
    int epoll_;
    int timer_;
    int socket_ = -1;
    bool watches_writable_ = false;
    bool socket_failed_ = false;  ///< the next receive finds the end of the connection
    base::Millis retry_;
    base::TimePoint connect_at_;
    std::optional<app::Register> registration_;
    std::uint64_t registrations_ = 0;  ///< that the application asked for
    std::int64_t last_id_ = 0;
    bool is_registered_ = false;
    std::int64_t awaited_ = 0;  ///< the question that confirms; 0: none
    bool confirmed_ = false;
    bool sent_ = false;  ///< this connection has sent the registration, and it was not refused
    base::Millis register_retry_;
    base::TimePoint register_after_{};  ///< earliest next attempt: no application makes this a busy loop
    std::string refusal_;               ///< the last that the application knows of
    app::Subscribe wish_;
    bool wants_actions_ = false;
    Outbox outbox_;
};

}  // namespace vitalwire::guest

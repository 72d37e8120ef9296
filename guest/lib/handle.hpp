#pragma once

#include <vitalwire/vitalwire.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "guest/lib/client.hpp"

/// What a vw_t is: checks what the application says, calls its callbacks, and leaves the rest to Client. Functions may
/// throw; those of the C interface do not.
struct vw : private vitalwire::guest::Client::Events {
public:
    vw_result_t open(const struct vw_options& options);
    vw_result_t close();
    /// False in a child that the opening process has forked; such a handle can only be freed.
    bool is_usable() const { return client_->is_own_process(); }
    bool may_wait() const { return is_usable() && !dispatching_; }
    int descriptor() const { return client_->descriptor(); }
    bool connected() const { return client_->connected(); }
    const char* last_error() const { return last_error_.c_str(); }
    vw_result_t dispatch(unsigned flags);

    vw_result_t register_heartbeat(const struct vw_heartbeat_options& options);
    vw_result_t report(vw_health_t health, const char* reason);
    vw_result_t deregister();
    vw_result_t confirm();
    bool is_confirmed() const { return client_->is_confirmed(); }

    vw_result_t subscribe(const struct vw_group_options& options);
    vw_result_t broadcast(const void* data, std::size_t size, std::uint32_t* id);
    vw_result_t query(std::uint32_t timeout_ms, vw_group_status_fn status, void* context);

    vw_result_t want_actions(vw_action_fn tell, void* context);
    vw_result_t answer(std::uint32_t id, vw_answer_t given, const char* reason);

    vw_result_t failed(vw_result_t result, std::string why) noexcept;

private:
    struct Query {
        vw_group_status_fn status = nullptr;
        void* context = nullptr;
    };

    vw_result_t failed(const vitalwire::base::Error& error);
    vw_result_t not_registered();

    void connection_changed(bool connected) override;
    void cannot_connect(const std::string& why, bool is_refusal) override;
    vitalwire::heartbeat::Health health(const vitalwire::heartbeat::Health& current) override;
    void registration(const vitalwire::base::Result<void>& outcome) override;
    void broadcast(const vitalwire::wire::Delivery& message) override;
    void notification(const vitalwire::wire::Notification& message) override;
    void refused(const vitalwire::wire::Nack& nack) override;
    void dropped(std::uint64_t count) override;
    void status(const vitalwire::group::Queries::Outcome& outcome) override;
    void action(const vitalwire::guest::app::Action& question) override;

    std::unique_ptr<vitalwire::guest::Client> client_;
    vw_connection_fn connection_ = nullptr;
    void* connection_context_ = nullptr;
    vw_health_fn health_ = nullptr;
    vw_registration_fn registration_ = nullptr;
    void* heartbeat_context_ = nullptr;
    struct vw_group_options group_ = VW_GROUP_OPTIONS_INIT;
    vw_action_fn action_ = nullptr;
    void* action_context_ = nullptr;
    std::map<std::int64_t, Query> queries_;
    bool dispatching_ = false;
    std::string last_error_;
};

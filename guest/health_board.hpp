#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/log_limit.hpp"
#include "heartbeat/guest_session.hpp"

namespace vitalwire::guest {

/// The last result of every check and application, and what the guest answers with: one that is unhealthy makes the
/// guest unhealthy; the reasons are sent in the order in which they arose, warnings after them. Warnings alone leave it
/// healthy. Where a source wants a corrective action of its own, the worst one is sent: stop, reboot, log, none.
class HealthBoard {
public:
    using Changed = std::function<void(const heartbeat::Health& overall)>;

    explicit HealthBoard(Changed changed) : changed_(std::move(changed)) {}

    /// What a source wants that names no action of its own: the action that the guest has declared.
    void set_declared_action(model::CorrectiveAction action);
    /// `source`: "check NAME" or "application NAME". `reason` may be any bytes.
    void set(const std::string& source, bool healthy, std::string_view reason,
             std::optional<model::CorrectiveAction> action = std::nullopt);
    /// `source` is not watched any more.
    void remove(const std::string& source);
    /// Something that is no ill health, but that the operator has to see. Of each topic a source has one: who withdraws
    /// one does not withdraw what another part of this daemon warns of.
    void warn(const std::string& source, std::string_view warning, std::string_view topic = {});
    void withdraw_warning(const std::string& source, std::string_view topic = {});
    heartbeat::Health overall() const;
    /// Of a source that is unhealthy; absent for one that is healthy.
    std::optional<std::string> reason(const std::string& source) const;
    /// How many arose before that of `source`.
    std::size_t position(const std::string& source) const;
    /// That it wants itself.
    std::optional<model::CorrectiveAction> action(const std::string& source) const;

private:
    struct Trouble {
        std::string source;
        std::string reason;
        std::optional<model::CorrectiveAction> action{};
        std::string topic{};

        friend bool operator==(const Trouble&, const Trouble&) = default;
    };
    using Troubles = std::vector<Trouble>;
    static Troubles::iterator find(Troubles& in, const std::string& source, std::string_view topic = {});
    void put(Troubles& in, Trouble trouble);
    void erase(Troubles& in, const std::string& source, std::string_view topic = {});
    std::optional<model::CorrectiveAction> worst_action() const;

    Changed changed_;
    LogLimit log_limit_;
    Troubles troubles_;
    Troubles warnings_;
    model::CorrectiveAction declared_action_ = model::CorrectiveAction::none;
};

}  // namespace vitalwire::guest

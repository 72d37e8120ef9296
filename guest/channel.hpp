#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace vitalwire::guest {

enum class Priority {
    bulk,  ///< of applications: must not take the last of the queue from the heartbeat
    normal,
    answer,  ///< to a challenge: written before what waits, and in place of an earlier answer that still waits
};

/// The byte stream to the host (proto-spec/device.md). It looks for its port, opens it, and opens it again when it
/// went away; its user only sees hosts come and go.
class Channel {
public:
    class Events {
    public:
        virtual ~Events() = default;
        /// A host is there. What was read before belongs to another connection.
        virtual void host_connected() = 0;
        virtual void host_disconnected() = 0;
        virtual void received(std::string_view bytes) = 0;
    };

    virtual ~Channel() = default;

    virtual void start(Events& events) = 0;
    /// Queues one whole message; it is written with one system call where the kernel allows. False when it was dropped
    /// because no host is there or the queue is full.
    virtual bool send(std::string message, Priority priority) = 0;
    virtual void stop() = 0;
    /// One phrase for people: a host is there, or what is waited for.
    virtual std::string status() const = 0;
    /// `changed` is called after each change of `status()`.
    void on_change(std::function<void()> changed) { changed_ = std::move(changed); }

protected:
    void tell_change() const { changed_(); }

private:
    std::function<void()> changed_ = [] {};
};

}  // namespace vitalwire::guest

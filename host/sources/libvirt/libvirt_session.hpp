#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "host/sources/libvirt/domain_reading.hpp"
#include "host/sources/libvirt/libvirt_threads.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::host {

/// `[source libvirt]` of vitalwire-agent.conf(5).
struct LibvirtOptions {
    std::string uri = "qemu:///system";
    base::Millis call_deadline{10'000};
    bool hot_plug = true;  ///< attach channels that policies ask for
    /// At a time. Of libvirtd's 20 threads for calls that may wait, which serve all its clients, less than half.
    int guest_agent_calls = 8;
};

/// What libvirt tells of a domain by itself.
struct DomainNews {
    enum class Kind : std::uint8_t {
        lifecycle,  ///< `event` is a virDomainEventType, `detail` goes with it
        rebooted,
        transferring,  ///< its memory is being written out
        watchdog,      ///< its watchdog device fired; `text` is what the hypervisor does
        io_error,      ///< it was stopped because a disk failed; `text` is what and where
        changed        ///< something else: worth a reading
    };
    base::GuestId guest;
    Kind kind = Kind::changed;
    int event = 0;
    int detail = 0;
    std::string text;
};

/// One connection to libvirt, read only, with a thread of its own that makes every call. Asked and answering on the
/// loop's thread; nothing here waits for libvirt. A session that was lost, or whose call takes too long, is destroyed
/// by its owner: a call that still hangs then ends on its own thread, and its result is dropped.
class LibvirtSession {
public:
    struct Query {
        base::GuestId guest;
        bool job = false;  ///< ask for DomainReading::job too; the one call that waits for QEMU
    };
    struct Failure {
        base::GuestId guest;
        std::string why;
    };
    struct Answer {
        bool of_all = false;
        std::vector<DomainReading> domains;
        std::vector<base::GuestId> unknown;  ///< libvirt has no such domain
        std::vector<Failure> failures;
    };

    class Handler {
    public:
        virtual ~Handler() = default;
        virtual void on_open() = 0;
        virtual void on_news(const DomainNews& news) = 0;
        /// More came than could be taken: look at everything again.
        virtual void on_news_lost() = 0;
        virtual void on_answer(const Answer& answer) = 0;
        /// It could not be opened, its connection ended, or a call takes too long. The last call; it may destroy the
        /// session.
        virtual void on_lost(const std::string& why) = 0;
    };

    /// Begins to open. `handler` must outlive the session.
    LibvirtSession(boost::asio::io_context& io, const LibvirtOptions& options,
                   const std::shared_ptr<LibvirtThreads>& threads, Handler& handler);
    ~LibvirtSession();
    LibvirtSession(const LibvirtSession&) = delete;
    LibvirtSession& operator=(const LibvirtSession&) = delete;

    /// Between on_open and the first question, and between an answer and the next.
    bool idle() const { return open_ && !asked_; }
    /// Only when idle.
    void ask_all();
    void ask(std::vector<Query> queries);

private:
    class Shared;
    class Worker;
    struct Question;
    struct Opened {};
    struct Lost {
        std::string why;
    };

    std::string start_thread(const LibvirtOptions& options, const std::shared_ptr<LibvirtThreads>& threads);
    void ask(Question question);
    void deliver();
    void handle(const Opened&);
    void handle(const DomainNews& news);
    void handle(const Answer& answer);
    void handle(const Lost& lost);
    void watch_call();

    base::Duration deadline_;
    Handler* handler_;
    std::shared_ptr<Shared> shared_;
    runtime::Timer watch_;
    bool open_ = false;
    bool asked_ = false;
};

}  // namespace vitalwire::host

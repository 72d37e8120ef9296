#include "host/sources/libvirt/guest_agent_calls.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "host/sources/libvirt/libvirt_threads.hpp"

namespace vitalwire::host {

using base::GuestId;

namespace {

/// A connection to libvirt that is not used is closed after this.
constexpr std::chrono::seconds kUnused{60};
/// What a process that ends waits for calls that are about to return.
constexpr std::chrono::milliseconds kEndPatience{200};

constexpr int kAnswerSeconds = 5;
constexpr int kKeepAliveSeconds = 5;
constexpr unsigned kKeepAliveCount = 3;

// Of later releases of libvirt than the headers that this is built with may be.
constexpr int kAgentCommandTimeout = 111;
constexpr int kAgentCommandFailed = 112;  // the agent answered, with an error

/// By libvirt's codes: its texts change.
GuestAgentResult result_of(int code) {
    switch (code) {
        case VIR_ERR_AGENT_UNRESPONSIVE:
        case VIR_ERR_AGENT_UNSYNCED:
        case kAgentCommandTimeout:
            return GuestAgentResult::silent;
        case kAgentCommandFailed:
            return GuestAgentResult::answered;
        default:
            return GuestAgentResult::unknown;
    }
}

class LibvirtAsker final : public GuestAgentAsker {
public:
    explicit LibvirtAsker(std::string uri) : uri_(std::move(uri)) {}

    GuestAgentResult ask(const GuestId& guest) override {
        if (!connection_ || virConnectIsAlive(connection_.get()) != 1) open();
        if (!connection_) return GuestAgentResult::unknown;
        const std::unique_ptr<virDomain, Freed> domain(
            virDomainLookupByUUIDString(connection_.get(), guest.str().c_str()));
        if (!domain) return GuestAgentResult::unknown;
        // Without a bound a call to an agent that hangs keeps a thread of libvirtd until the agent goes on.
        if (virDomainAgentSetResponseTimeout(domain.get(), kAnswerSeconds, 0) < 0) return GuestAgentResult::unknown;
        const GuestAgentResult result = get_time(domain.get());
        // The bound is the domain's, and others' commands, such as to freeze file systems, may take their time.
        virDomainAgentSetResponseTimeout(domain.get(), VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
        return result;
    }

private:
    struct Freed {
        void operator()(virConnectPtr connection) const { virConnectClose(connection); }
        void operator()(virDomainPtr domain) const { virDomainFree(domain); }
    };

    static GuestAgentResult get_time(virDomainPtr domain) {
        long long seconds = 0;  // NOLINT(google-runtime-int): libvirt's type
        unsigned nanoseconds = 0;
        if (virDomainGetTime(domain, &seconds, &nanoseconds, 0) == 0) return GuestAgentResult::answered;
        const virError* error = virGetLastError();
        return error == nullptr ? GuestAgentResult::unknown : result_of(error->code);
    }

    /// A libvirtd that hangs must not keep the thread.
    void open() {
        connection_.reset(virConnectOpen(uri_.c_str()));
        if (connection_) virConnectSetKeepAlive(connection_.get(), kKeepAliveSeconds, kKeepAliveCount);
    }

    std::string uri_;
    std::unique_ptr<virConnect, Freed> connection_;
};

}  // namespace

std::unique_ptr<GuestAgentAsker> make_libvirt_asker(std::string uri) {
    return std::make_unique<LibvirtAsker>(std::move(uri));
}

/// What the loop and the threads have in common; outlives the calls while one hangs.
class GuestAgentCalls::Shared : public std::enable_shared_from_this<Shared> {
public:
    Shared(boost::asio::io_context& io, int most, MakeAsker make_asker, Returned returned)
        : io_(&io), most_(most), make_asker_(std::move(make_asker)), returned_(std::move(returned)) {}

    // On the loop.
    void ask(const GuestId& guest, std::int64_t challenge) {
        const std::lock_guard lock(mutex_);
        questions_.push_back({guest, challenge});
        if (static_cast<int>(questions_.size()) > unused_ && threads_ < most_) start_thread();
        if (threads_ == 0) return fail_all();
        changed_.notify_one();
    }
    void end() {
        std::unique_lock lock(mutex_);
        io_ = nullptr;
        questions_.clear();
        changed_.notify_all();
        changed_.wait_for(lock, kEndPatience, [this] { return threads_ == 0; });
        returned_ = nullptr;
    }

private:
    struct Question {
        GuestId guest;
        std::int64_t challenge = 0;
    };

    void start_thread() {
        ++threads_;
        try {
            quiet_thread([self = shared_from_this()] { self->run(); }).detach();
        } catch (const std::system_error&) {
            --threads_;
        }
    }
    /// Without any thread nothing is found out.
    void fail_all() {
        for (const Question& question : std::exchange(questions_, {}))
            tell(question, GuestAgentResult::unknown);
    }

    // On the threads.
    void run() {
        const auto asker = make_asker_();
        while (const auto question = next()) {
            const GuestAgentResult result = asker->ask(question->guest);
            const std::lock_guard lock(mutex_);
            tell(*question, result);
        }
    }
    /// Empty when the thread is to end.
    std::optional<Question> next() {
        std::unique_lock lock(mutex_);
        ++unused_;
        changed_.wait_for(lock, kUnused, [this] { return io_ == nullptr || !questions_.empty(); });
        --unused_;
        if (io_ == nullptr || questions_.empty()) {
            --threads_;
            changed_.notify_all();
            return std::nullopt;
        }
        Question question = std::move(questions_.front());
        questions_.pop_front();
        return question;
    }

    /// With the lock.
    void tell(const Question& question, GuestAgentResult result) {
        if (io_ == nullptr) return;
        boost::asio::post(*io_, [self = shared_from_this(), question, result] {
            if (self->returned_) self->returned_(question.guest, question.challenge, result);
        });
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    boost::asio::io_context* io_;
    const int most_;
    const MakeAsker make_asker_;
    Returned returned_;  ///< used on the loop only
    std::deque<Question> questions_;
    int threads_ = 0;
    int unused_ = 0;  ///< threads that wait for a question
};

GuestAgentCalls::GuestAgentCalls(boost::asio::io_context& io, int most, MakeAsker make_asker, Returned returned)
    : shared_(std::make_shared<Shared>(io, most, std::move(make_asker), std::move(returned))) {}

GuestAgentCalls::~GuestAgentCalls() {
    shared_->end();
}

void GuestAgentCalls::ask(const GuestId& guest, std::int64_t challenge) {
    shared_->ask(guest, challenge);
}

}  // namespace vitalwire::host

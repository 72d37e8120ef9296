#include "host/sources/libvirt/libvirt_session.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>

#include "host/sources/libvirt/domain_xml.hpp"

namespace vitalwire::host {

using base::GuestId;

namespace {

/// What libvirt may tell before the loop takes it; beyond that news are dropped and everything is looked at again.
constexpr std::size_t kMaxNews = 4096;

void run_events() {
    for (;;) {
        if (virEventRunDefaultImpl() < 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

/// libvirt has one event loop in a process; it runs from the first session to the process's end.
bool start_events() {
    static const bool started = [] {
        virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // or libvirt writes to standard error
        if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0) return false;
        quiet_thread(run_events).detach();
        return true;
    }();
    return started;
}

GuestId uuid_of(virDomainPtr domain) {
    std::array<char, VIR_UUID_STRING_BUFLEN> uuid{};
    return virDomainGetUUIDString(domain, uuid.data()) < 0 ? GuestId() : GuestId(uuid.data());
}

std::string watchdog_action(int action) {
    switch (action) {
        case VIR_DOMAIN_EVENT_WATCHDOG_PAUSE:
            return "pause";
        case VIR_DOMAIN_EVENT_WATCHDOG_RESET:
            return "reset";
        case VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF:
            return "poweroff";
        case VIR_DOMAIN_EVENT_WATCHDOG_SHUTDOWN:
            return "shutdown";
        case VIR_DOMAIN_EVENT_WATCHDOG_DEBUG:
            return "debug";
        case VIR_DOMAIN_EVENT_WATCHDOG_INJECTNMI:
            return "inject-nmi";
        default:
            return "none";
    }
}

std::string why_closed(int reason) {
    switch (reason) {
        case VIR_CONNECT_CLOSE_REASON_EOF:
            return "libvirt closed the connection";
        case VIR_CONNECT_CLOSE_REASON_KEEPALIVE:
            return "libvirt does not answer";
        default:
            return "the connection to libvirt was lost";
    }
}

}  // namespace

struct LibvirtSession::Question {
    bool all = false;
    std::vector<Query> queries;
};

/// What the loop, the session's thread and libvirt's event thread have in common; outlives the session while a call
/// hangs.
class LibvirtSession::Shared : public std::enable_shared_from_this<Shared> {
public:
    using Item = std::variant<Opened, DomainNews, Answer, Lost>;

    Shared(boost::asio::io_context& io, LibvirtSession& owner) : io_(&io), owner_(&owner) {}

    // On the loop.
    void detach() {
        const std::lock_guard lock(mutex_);
        io_ = nullptr;
        owner_ = nullptr;
        items_.clear();
        asked_.notify_all();
    }
    void ask(Question question) {
        const std::lock_guard lock(mutex_);
        question_ = std::move(question);
        asked_.notify_all();
    }
    /// Null after detach.
    LibvirtSession* owner() const { return owner_; }
    std::vector<Item> take(bool& news_lost) {
        const std::lock_guard lock(mutex_);
        told_ = false;
        news_ = 0;
        news_lost = std::exchange(news_lost_, false);
        return std::exchange(items_, {});
    }
    /// How long the call that is under way takes.
    base::Duration in_call() const {
        const auto since = call_since_.load();
        return since == 0 ? base::Duration{} : base::Clock::now().time_since_epoch() - base::Duration(since);
    }

    // On the other threads.
    void tell(Item item) {
        const std::lock_guard lock(mutex_);
        if (io_ == nullptr) return;
        const bool news = std::holds_alternative<DomainNews>(item);
        if (news && news_ >= kMaxNews) {
            news_lost_ = true;
            return;
        }
        news_ += news ? 1 : 0;
        items_.push_back(std::move(item));
        if (std::exchange(told_, true)) return;
        boost::asio::post(*io_, [self = shared_from_this()] {
            if (self->owner_ != nullptr) self->owner_->deliver();
        });
    }
    /// Empty when the session is over.
    std::optional<Question> await_question() {
        std::unique_lock lock(mutex_);
        asked_.wait(lock, [this] { return io_ == nullptr || question_; });
        return io_ == nullptr ? std::nullopt : std::exchange(question_, std::nullopt);
    }
    bool over() {
        const std::lock_guard lock(mutex_);
        return io_ == nullptr;
    }
    void begin_call() { call_since_ = base::Clock::now().time_since_epoch().count(); }
    void end_call() { call_since_ = 0; }

private:
    std::mutex mutex_;
    std::condition_variable asked_;
    boost::asio::io_context* io_;
    LibvirtSession* owner_;  ///< used on the loop only
    std::optional<Question> question_;
    std::vector<Item> items_;
    std::size_t news_ = 0;
    bool news_lost_ = false;
    bool told_ = false;
    std::atomic<base::Duration::rep> call_since_{0};
};

/// The session's thread.
class LibvirtSession::Worker {
public:
    Worker(std::shared_ptr<Shared> shared, LibvirtOptions options)
        : shared_(std::move(shared)), options_(std::move(options)) {}

    void run() {
        if (open()) serve();
        if (connection_) close();
    }

private:
    struct Freed {
        void operator()(virConnectPtr connection) const { virConnectClose(connection); }
        void operator()(virDomainPtr domain) const { virDomainFree(domain); }
        void operator()(char* text) const { ::free(text); }  // NOLINT(cppcoreguidelines-no-malloc): libvirt's malloc
    };
    using Connection = std::unique_ptr<virConnect, Freed>;
    using Domain = std::unique_ptr<virDomain, Freed>;
    using Text = std::unique_ptr<char, Freed>;

    void serve() {
        shared_->tell(Opened{});
        while (const auto question = shared_->await_question()) {
            Answer answer;
            answer.of_all = question->all;
            if (question->all ? read_all(answer) : read(question->queries, answer)) shared_->tell(std::move(answer));
        }
    }

    /// Every call to libvirt that may wait goes through here.
    template <class Function>
    auto call(Function&& function) {
        shared_->begin_call();
        auto result = function();
        shared_->end_call();
        return result;
    }

    bool open() {
        if (!start_events()) return lost("libvirt cannot be initialised: " + last_libvirt_error());
        connection_.reset(call([&] { return virConnectOpenReadOnly(options_.uri.c_str()); }));
        if (!connection_) return lost("cannot connect: " + last_libvirt_error());
        if (!watch_connection()) return lost("cannot watch the connection: " + last_libvirt_error());
        return watch(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_lifecycle)) &&
               watch(VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_reboot)) &&
               watch(VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_iteration)) &&
               watch(VIR_DOMAIN_EVENT_ID_WATCHDOG, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_watchdog)) &&
               watch(VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_io_error)) &&
               watch(VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_job_completed)) &&
               watch(VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_guest_agent)) &&
               watch(VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_device)) &&
               watch(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(&Worker::on_device));
    }

    /// A driver of libvirt inside this process has no connection that could be lost, and cannot keep one alive.
    bool watch_connection() {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.call_deadline).count();
        const auto interval = static_cast<int>(std::max<std::int64_t>(seconds / 2, 1));
        if (virConnectSetKeepAlive(connection_.get(), interval, 1) < 0) return true;
        void* held = hold_shared();
        const auto register_callback = [&] {
            return virConnectRegisterCloseCallback(connection_.get(), &Worker::on_closed, held, &Worker::let_go);
        };
        if (call(register_callback) == 0) return true;
        let_go(held);
        return false;
    }

    void close() {
        for (const int watched : watched_)
            virConnectDomainEventDeregisterAny(connection_.get(), watched);
        virConnectUnregisterCloseCallback(connection_.get(), &Worker::on_closed);
        connection_.reset();
    }

    bool lost(std::string why) {
        shared_->tell(Lost{std::move(why)});
        return false;
    }

    bool watch(int event, virConnectDomainEventGenericCallback callback) {
        void* held = hold_shared();
        const int watched = call([&] {
            return virConnectDomainEventRegisterAny(connection_.get(), nullptr, event, callback, held, &Worker::let_go);
        });
        if (watched >= 0) {
            watched_.push_back(watched);
            return true;
        }
        let_go(held);
        return lost("cannot watch events: " + last_libvirt_error());
    }

    bool read_all(Answer& answer) {
        virDomainPtr* listed = nullptr;
        const int count = call([&] { return virConnectListAllDomains(connection_.get(), &listed, 0); });
        if (count < 0) return lost("cannot list domains: " + last_libvirt_error());
        const std::unique_ptr<virDomainPtr, decltype(&::free)> list(listed, &::free);
        std::vector<Domain> domains;
        domains.reserve(static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i)
            domains.emplace_back(listed[i]);
        for (const Domain& domain : domains) {
            if (shared_->over()) return false;
            read(domain.get(), uuid_of(domain.get()), false, answer);
        }
        return true;
    }

    bool read(const std::vector<Query>& queries, Answer& answer) {
        for (const Query& query : queries) {
            if (shared_->over()) return false;
            const Domain domain(
                call([&] { return virDomainLookupByUUIDString(connection_.get(), query.guest.str().c_str()); }));
            if (domain) {
                read(domain.get(), query.guest, query.job, answer);
            } else {
                failed(query.guest, answer);
            }
        }
        return true;
    }

    void read(virDomainPtr domain, const GuestId& guest, bool job, Answer& answer) {
        DomainReading reading;
        reading.guest = guest;
        if (job) reading.job = job_of(domain);
        // The XML first: a domain that ends in between is seen as ended, never as running without channels.
        const Text xml(call([&] { return virDomainGetXMLDesc(domain, 0); }));
        if (!xml) return failed(guest, answer);
        if (call([&] { return virDomainGetState(domain, &reading.state, &reading.reason, 0); }) < 0)
            return failed(guest, answer);
        const int persistent = call([&] { return virDomainIsPersistent(domain); });
        if (persistent < 0) return failed(guest, answer);
        reading.persistent = persistent == 1;
        if (reading.state != VIR_DOMAIN_SHUTOFF) {
            reading.id = static_cast<int>(virDomainGetID(domain));
            auto ports = ports_of(xml.get());
            if (!ports) return answer.failures.push_back({guest, ports.error().message});
            reading.ports = std::move(*ports);
        }
        answer.domains.push_back(std::move(reading));
    }

    /// Absent where it cannot be known: at the far end of a migration.
    std::optional<DomainJob> job_of(virDomainPtr domain) {
        int type = VIR_DOMAIN_JOB_NONE;
        virTypedParameterPtr stats = nullptr;
        int count = 0;
        if (call([&] { return virDomainGetJobStats(domain, &type, &stats, &count, 0); }) < 0) return std::nullopt;
        int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
        virTypedParamsGetInt(stats, count, VIR_DOMAIN_JOB_OPERATION, &operation);
        virTypedParamsFree(stats, count);
        if (type != VIR_DOMAIN_JOB_BOUNDED && type != VIR_DOMAIN_JOB_UNBOUNDED) return DomainJob::none;
        const bool migrates =
            operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT || operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN;
        return migrates ? DomainJob::migration : DomainJob::other;
    }

    static void failed(const GuestId& guest, Answer& answer) {
        const virError* error = virGetLastError();
        if (error != nullptr && error->code == VIR_ERR_NO_DOMAIN) return answer.unknown.push_back(guest);
        answer.failures.push_back({guest, last_libvirt_error()});
    }

    // libvirt keeps a plain pointer for its callbacks: to a shared pointer of their own.
    void* hold_shared() { return new std::shared_ptr<Shared>(shared_); }
    static void let_go(void* held) { delete static_cast<std::shared_ptr<Shared>*>(held); }
    static Shared& shared_of(void* held) { return **static_cast<std::shared_ptr<Shared>*>(held); }

    // Called on libvirt's event thread.
    static void on_closed(virConnectPtr, int reason, void* held) { shared_of(held).tell(Lost{why_closed(reason)}); }
    static void news(virDomainPtr domain, DomainNews::Kind kind, void* held, int event = 0, int detail = 0,
                     std::string text = {}) {
        shared_of(held).tell(DomainNews{uuid_of(domain), kind, event, detail, std::move(text)});
    }
    static void on_watchdog(virConnectPtr, virDomainPtr domain, int action, void* held) {
        news(domain, DomainNews::Kind::watchdog, held, 0, 0, watchdog_action(action));
    }
    static void on_io_error(virConnectPtr, virDomainPtr domain, const char* source, const char* device, int action,
                            const char* reason, void* held) {
        if (action != VIR_DOMAIN_EVENT_IO_ERROR_PAUSE) return;
        const auto text_of = [](const char* text) { return std::string(text == nullptr ? "" : text); };
        std::string text = text_of(device) + " (" + text_of(source) + ")";
        if (const std::string why = text_of(reason); !why.empty()) text += ": " + why;
        news(domain, DomainNews::Kind::io_error, held, 0, 0, std::move(text));
    }
    static int on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* held) {
        news(domain, DomainNews::Kind::lifecycle, held, event, detail);
        return 0;
    }
    static void on_reboot(virConnectPtr, virDomainPtr domain, void* held) {
        news(domain, DomainNews::Kind::rebooted, held);
    }
    static void on_iteration(virConnectPtr, virDomainPtr domain, int, void* held) {
        news(domain, DomainNews::Kind::transferring, held);
    }
    static void on_job_completed(virConnectPtr, virDomainPtr domain, virTypedParameterPtr, int, void* held) {
        news(domain, DomainNews::Kind::changed, held);
    }
    static void on_guest_agent(virConnectPtr, virDomainPtr domain, int, int, void* held) {
        news(domain, DomainNews::Kind::changed, held);
    }
    static void on_device(virConnectPtr, virDomainPtr domain, const char*, void* held) {
        news(domain, DomainNews::Kind::changed, held);
    }

    std::shared_ptr<Shared> shared_;
    LibvirtOptions options_;
    Connection connection_;
    std::vector<int> watched_;
};

LibvirtSession::LibvirtSession(boost::asio::io_context& io, const LibvirtOptions& options,
                               const std::shared_ptr<LibvirtThreads>& threads, Handler& handler)
    : deadline_(options.call_deadline), handler_(&handler), shared_(std::make_shared<Shared>(io, *this)), watch_(io) {
    const std::string failure = start_thread(options, threads);
    if (failure.empty()) {
        watch_call();
    } else {
        shared_->tell(Lost{failure});
    }
}

/// Empty, or why it could not be started.
std::string LibvirtSession::start_thread(const LibvirtOptions& options,
                                         const std::shared_ptr<LibvirtThreads>& threads) {
    if (!threads->enter()) return "too many calls to libvirt do not return";
    try {
        quiet_thread([shared = shared_, options, threads] {
            Worker(shared, options).run();
            threads->leave();
        }).detach();
    } catch (const std::system_error& error) {
        threads->leave();
        return std::string("cannot make a thread: ") + error.what();
    }
    return {};
}

LibvirtSession::~LibvirtSession() {
    shared_->detach();
}

void LibvirtSession::ask_all() {
    ask(Question{true, {}});
}

void LibvirtSession::ask(std::vector<Query> queries) {
    ask(Question{false, std::move(queries)});
}

void LibvirtSession::ask(Question question) {
    asked_ = true;
    shared_->ask(std::move(question));
    watch_call();
}

void LibvirtSession::deliver() {
    bool news_lost = false;
    const auto shared = shared_;
    const auto items = shared->take(news_lost);
    if (news_lost) handler_->on_news_lost();
    for (const Shared::Item& item : items) {
        if (shared->owner() == nullptr) return;
        std::visit([this](const auto& told) { handle(told); }, item);
    }
}

void LibvirtSession::handle(const Opened&) {
    open_ = true;
    watch_.cancel();
    handler_->on_open();
}

void LibvirtSession::handle(const DomainNews& news) {
    handler_->on_news(news);
}

void LibvirtSession::handle(const Answer& answer) {
    asked_ = false;
    watch_.cancel();
    handler_->on_answer(answer);
}

void LibvirtSession::handle(const Lost& lost) {
    handler_->on_lost(lost.why);
}

void LibvirtSession::watch_call() {
    watch_.after(deadline_ / 4, [this] {
        if (idle()) return;
        if (shared_->in_call() < deadline_) return watch_call();
        handler_->on_lost("libvirt does not answer");
    });
}

}  // namespace vitalwire::host

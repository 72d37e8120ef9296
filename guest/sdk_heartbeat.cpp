#include "guest/sdk_heartbeat.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "guest/absent.hpp"
#include "guest/accounts.hpp"
#include "guest/descriptors.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

constexpr std::chrono::seconds kListenAgain{5};
constexpr mode_t kHeartbeatMode = 0660;
constexpr int kConnectionsWaiting = 64;

std::string sdk_source(const std::string& name) {
    return "sdk application " + name;
}

}  // namespace

SdkHeartbeat::SdkHeartbeat(MonitorClock& clock, HealthBoard& board, std::string path, ApplicationSettings settings,
                           ActionVotes& votes)
    : clock_(clock),
      board_(board),
      votes_(votes),
      path_(std::move(path)),
      settings_(std::move(settings)),
      listener_(clock.io()),
      file_(clock.io()),
      retry_(clock.io()),
      unwatched_(clock, board),
      expiry_(clock) {}

SdkHeartbeat::~SdkHeartbeat() {
    stop();
}

void SdkHeartbeat::start() {
    if (path_.empty()) return;
    const auto opened = open();
    if (opened) {
        if (!std::exchange(problem_, {}).empty()) log::info("applications of the guest SDK can register");
        file_.watch(path_, [this] {
            retry_.cancel();
            close();
            start();
        });
        return wait();
    }
    if (std::exchange(problem_, opened.error().message) != problem_)
        log::error("applications of the guest SDK cannot register, trying again every 5 s", {{"why", problem_}});
    close();
    retry_.after(kListenAgain, [this] { start(); });
}

void SdkHeartbeat::stop() {
    retry_.cancel();
    unwatched_.stop();
    expiry_.cancel();
    absent_.clear();
    for (const auto& each : applications_)
        each->close();
    applications_.clear();
    if (!listener_.is_open()) return;
    close();
    file_.remove();
}

base::Result<void> SdkHeartbeat::open() {
    const auto listener = runtime::open_unix_listener(path_, SOCK_STREAM, kHeartbeatMode, kConnectionsWaiting);
    if (!listener) return tl::make_unexpected(listener.error());
    listener_.assign(*listener);
    return give_to_group(path_, settings_.group);
}

void SdkHeartbeat::close() {
    boost::system::error_code ignored;
    listener_.close(ignored);
}

void SdkHeartbeat::wait() {
    listener_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (!error) accept();
    });
}

void SdkHeartbeat::accept() {
    const int descriptor = ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        const bool passing = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
        if (passing) return wait();
        return retry_.after(kListenAgain, [this] { wait(); });
    }
    const auto application = std::make_shared<SdkApplication>(clock_, descriptor, static_cast<Owner&>(*this));
    if (const auto room = make_room(application->uid(), descriptor); room) {
        applications_.push_back(application);
        application->start();
    } else {
        application->close();
        unwatched_.add(application->uid(), "an sdk application of user " + std::to_string(application->uid()),
                       "cannot connect", room.error());
    }
    wait();
}

base::Result<void> SdkHeartbeat::make_room(uid_t uid, int descriptor) {
    const auto is_theirs = [uid](const auto& each) { return each->uid() == uid; };
    const auto theirs = std::count_if(applications_.begin(), applications_.end(), is_theirs);
    const bool user_is_full = uid != 0 && static_cast<std::size_t>(theirs) >= settings_.max_per_user;
    if (!user_is_full && applications_.size() < settings_.max && is_spare(descriptor)) return {};
    const auto idle = std::find_if(applications_.begin(), applications_.end(), [&](const auto& each) {
        return each->name().empty() && (!user_is_full || is_theirs(each));
    });
    if (idle == applications_.end() && !is_spare(descriptor)) return fail(Errc::too_many, kTooFewDescriptors);
    if (idle == applications_.end())
        return fail(Errc::too_many, "there are too many already, [applications] max and max_per_user");
    (*idle)->close();
    applications_.erase(idle);
    return {};
}

void SdkHeartbeat::reconfigure(const ApplicationSettings& settings) {
    settings_.max = settings.max;
    settings_.max_per_user = settings.max_per_user;
}

std::vector<app::Item> SdkHeartbeat::list() const {
    std::vector<app::Item> items;
    for (const auto& each : applications_) {
        if (each->name().empty()) continue;
        const auto reason = board_.reason(sdk_source(each->name()));
        items.push_back({"application", each->name(), reason ? "unhealthy" : "healthy", reason.value_or(""),
                         each->pid(), each->uid()});
    }
    for (const Absent& each : absent_) {
        const Kept& kept = each.kept;
        const bool was_well = kept.health.healthy;
        const std::string_view why = !was_well                    ? std::string_view(kept.health.reason)
                                     : each.until == base::kNever ? kNotBack
                                                                  : kAwaited;
        items.push_back(
            {"application", kept.name, was_well ? "not watched" : "unhealthy", std::string(why), kept.pid, kept.uid});
    }
    for (app::Item& each : unwatched_.list())
        items.push_back(std::move(each));
    return items;
}

SdkHeartbeat::Applications::const_iterator SdkHeartbeat::find(const std::string& name) const {
    return std::find_if(applications_.begin(), applications_.end(),
                        [&](const auto& each) { return each->name() == name; });
}

/// The end of the one that has the name may not have been handled yet.
void SdkHeartbeat::drop_if_gone(const std::string& name) {
    const auto holder = find(name);
    if (holder == applications_.end() || !(*holder)->hung_up()) return;
    (*holder)->close();
    deregistered(**holder);
    applications_.erase(holder);
}

base::Result<std::string> SdkHeartbeat::admit(SdkApplication& application, const std::string& wanted) {
    const std::string process = std::to_string(application.pid());
    std::string name = wanted.empty() ? "pid-" + process : wanted;
    drop_if_gone(name);
    // The SDK's daemon lets several have one name. Here each is named to the operator, after a restart as before it.
    const std::string second_name = name + "-" + process;
    const auto before = find_absent(application.pid(), name);
    const bool was_second = before == absent_.end() && find_absent(application.pid(), second_name) != absent_.end();
    if (was_second || is_taken(name, application.pid())) name = second_name;
    if (is_taken(name, application.pid())) return fail(Errc::in_use, "this process has registered that name already");
    // A registration says nothing of its health: what the board has from before a restart stands until it answers.
    if (const auto same = find_absent(application.pid(), name); same != absent_.end()) absent_.erase(same);
    board_.withdraw_warning(sdk_source(name));
    kept_changed_();
    unwatched_.remove(application.uid(), sdk_source(wanted));
    return name;
}

bool SdkHeartbeat::is_taken(const std::string& name, pid_t pid) const {
    const auto is_anothers = [&](const Absent& each) { return each.kept.name == name && each.kept.pid != pid; };
    return find(name) != applications_.end() || std::any_of(absent_.begin(), absent_.end(), is_anothers);
}

void SdkHeartbeat::registered_again(SdkApplication& application, const std::string& earlier) {
    const std::string source = sdk_source(earlier);
    if (application.name() == earlier) return;
    if (const auto reason = board_.reason(source))
        board_.set(sdk_source(application.name()), false, *reason, board_.action(source));
    votes_.left(source);
    board_.remove(source);
}

void SdkHeartbeat::refused(SdkApplication& application, const std::string& name, const base::Error& error) {
    unwatched_.add(application.uid(), sdk_source(name), "wanted to be watched and is not", error);
}

void SdkHeartbeat::health_changed(SdkApplication& application, const heartbeat::Health& health) {
    board_.set(sdk_source(application.name()), health.healthy, health.reason, health.action);
}

std::vector<ActionVotes::Voter> SdkHeartbeat::ask(const wire::ActionNotify& notify) {
    std::vector<Voter> voters;
    // One that does not read is closed, and erased, while it is asked.
    for (const auto& each : Applications(applications_)) {
        if (each->ask(notify)) voters.push_back({sdk_source(each->name()), sdk_source(each->name())});
    }
    return voters;
}

void SdkHeartbeat::voted(SdkApplication& application, std::int64_t invocation, model::VoteResult result,
                         const std::string& reason) {
    const std::string source = sdk_source(application.name());
    votes_.vote({source, source}, invocation, result, reason);
}

void SdkHeartbeat::deregistered(SdkApplication& application) {
    votes_.left(sdk_source(application.name()));
    board_.remove(sdk_source(application.name()));
    kept_changed_();
}

void SdkHeartbeat::malformed(SdkApplication& application) {
    if (!may_log(application)) return;
    log::warning("application of the guest SDK sends what is no record, skipped",
                 {{"pid", application.pid()}, {"uid", application.uid()}, {"name", application.name()}});
}

/// Of each user by itself: one whose applications send nothing else neither fills the disk nor silences others.
bool SdkHeartbeat::may_log(const SdkApplication& application) {
    return log_limit_.take(clock_.now(), "sdk user " + std::to_string(application.uid()));
}

void SdkHeartbeat::keep(std::vector<Kept>& out) const {
    for (const auto& each : applications_) {
        if (each->name().empty()) continue;
        const std::string source = sdk_source(each->name());
        const auto reason = board_.reason(source);
        Kept kept{"sdk application", each->name(), each->uid(), each->pid(), ProcessWatch::start_time_of(each->pid())};
        kept.health = {!reason, reason.value_or(""), board_.action(source)};
        kept.time = each->patience();
        out.push_back(std::move(kept));
    }
    for (const Absent& each : absent_)
        out.push_back(each.kept);
}

void SdkHeartbeat::restore(const Kept& kept) {
    const std::string started = ProcessWatch::start_time_of(kept.pid);
    if (kept.pid <= 0 || started.empty() || started != kept.started) return;
    const bool was_well = kept.health.healthy;
    if (!was_well) board_.set(sdk_source(kept.name), false, kept.health.reason, kept.health.action);
    const auto until = was_well ? clock_.now() + std::max(kept.time, kTimeToComeBack) : base::kNever;
    absent_.push_back({kept, until, std::make_unique<ProcessWatch>(clock_.io())});
    absent_.back().process->start(kept.pid, [this, pid = kept.pid, name = kept.name] {
        if (const auto gone = find_absent(pid, name); gone != absent_.end()) drop(gone);
    });
    expire();
}

void SdkHeartbeat::drop(std::vector<Absent>::const_iterator absent) {
    const std::string source = sdk_source(absent->kept.name);
    absent_.erase(absent);
    board_.remove(source);
    board_.withdraw_warning(source);
    kept_changed_();
}

void SdkHeartbeat::expire() {
    base::TimePoint next = base::kNever;
    for (Absent& each : absent_) {
        if (clock_.now() < each.until) {
            next = std::min(next, each.until);
        } else if (std::exchange(each.until, base::kNever) != base::kNever) {
            log::warning("application of the guest SDK has not registered again", {{"name", each.kept.name}});
            board_.warn(sdk_source(each.kept.name), kNotBack);
        }
    }
    expiry_.arm(next, [this] { expire(); });
}

std::vector<SdkHeartbeat::Absent>::const_iterator SdkHeartbeat::find_absent(pid_t pid, const std::string& name) const {
    return std::find_if(absent_.begin(), absent_.end(),
                        [&](const Absent& each) { return each.kept.pid == pid && each.kept.name == name; });
}

void SdkHeartbeat::closed(SdkApplication& application) {
    const auto found = std::find_if(applications_.begin(), applications_.end(),
                                    [&](const auto& each) { return each.get() == &application; });
    if (found != applications_.end()) applications_.erase(found);
}

}  // namespace vitalwire::guest

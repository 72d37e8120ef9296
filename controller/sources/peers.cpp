#include "controller/sources/peers.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "bus/limits.hpp"
#include "controller/alarms/evidence.hpp"
#include "controller/alarms/tracked_fault_json.hpp"
#include "controller/delivery/journal_json.hpp"
#include "controller/fleet/peer_agents_json.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

namespace {

constexpr base::Millis kTimeout{4'000};
/// Closer than that clocks of different machines are not expected to be.
constexpr std::chrono::seconds kClocksAgree{1};
/// Agents, windows or journals in one answer.
constexpr std::size_t kMaxRows = 100'000;
constexpr std::size_t kMaxSinks = 1'000;
constexpr std::size_t kMaxNameOfSink = 64;

std::string maintenance_problem(const std::string& url) {
    return "the peer " + url + " cannot be asked for its maintenance windows";
}

std::string journals_problem(const std::string& url) {
    return "the peer " + url + " cannot be asked for its journals";
}

std::string clock_problem(const std::string& url) {
    return "the clock of the peer " + url + " differs";
}

std::string sinks_problem(const std::string& url) {
    return "the peer " + url + " has other sinks";
}

/// Names that are in the one list and not in the other.
std::string missing(const std::set<std::string>& from, const std::set<std::string>& all) {
    std::string names;
    for (const std::string& name : all) {
        if (!from.contains(name)) names += (names.empty() ? "" : ", ") + name;
    }
    return names;
}

/// What differs between the sinks here and those the peer tells of; empty: nothing, or it is of a release that does
/// not.
std::string describe_sinks(const std::vector<std::string>& own, const nlohmann::json& object) {
    const nlohmann::json* list = wire::find(object, "sinks");
    if (list == nullptr || !list->is_array() || list->size() > kMaxSinks) return {};
    std::set<std::string> theirs;
    for (const nlohmann::json& name : *list) {
        if (name.is_string()) theirs.insert(base::escape(name.get_ref<const std::string&>(), kMaxNameOfSink));
    }
    const std::set<std::string> ours(own.begin(), own.end());
    const std::string only_here = missing(theirs, ours);
    const std::string only_there = missing(ours, theirs);
    std::string text;
    if (!only_here.empty()) text = "only here: " + only_here;
    if (!only_there.empty()) text += (text.empty() ? "" : "; ") + ("only there: " + only_there);
    return text;
}

/// How far a peer's clock is ahead of ours, as its answer shows; zero when they agree as far as that can be seen.
std::chrono::microseconds clock_ahead(const nlohmann::json& object, base::TimePoint asked_at) {
    const base::WallTime theirs = base::from_iso8601(wire::text_or(object, "time"));
    if (theirs == base::WallTime{}) return {};  // of a release that does not tell
    const auto taken = std::chrono::duration_cast<base::WallTime::duration>(base::Clock::now() - asked_at);
    const auto ahead = theirs - (std::chrono::system_clock::now() - taken / 2);
    // As precise as others read it.
    if (std::chrono::abs(ahead) <= kClocksAgree + taken / 2) return {};
    return std::chrono::duration_cast<std::chrono::microseconds>(ahead);
}

std::string describe(std::chrono::microseconds ahead) {
    if (ahead.count() == 0) return {};
    const auto seconds = std::chrono::round<std::chrono::seconds>(std::chrono::abs(ahead)).count();
    return "it is " + std::to_string(seconds) + " s " + (ahead.count() > 0 ? "ahead of" : "behind") + " the one here";
}

base::Result<nlohmann::json> read_object(const base::Result<runtime::HttpClientResponse>& answer) {
    if (!answer) return tl::make_unexpected(answer.error());
    if (answer->status != 200)
        return base::fail(base::Errc::unavailable, "expected HTTP status 200, found " + std::to_string(answer->status));
    return wire::parse_object(answer->body, {wire::kMaxDepth, kMaxRows});
}

/// In times of the clock here.
base::Result<std::vector<Maintenance>> read_windows(const base::Result<runtime::HttpClientResponse>& answer,
                                                    base::TimePoint asked_at) {
    const auto object = read_object(answer);
    if (!object) return tl::make_unexpected(object.error());
    const nlohmann::json* list = wire::find(*object, "maintenance");
    if (list == nullptr || !list->is_array())
        return base::fail(base::Errc::bad_field, "expected an array 'maintenance'");
    const auto ahead = clock_ahead(*object, asked_at);
    std::vector<Maintenance> windows;
    for (const nlohmann::json& entry : *list) {
        // One that this release cannot read is of no use to it; the others are.
        auto window = maintenance_from_json(entry);
        if (!window) continue;
        window->since -= ahead;
        window->until -= ahead;
        windows.push_back(std::move(*window));
    }
    return windows;
}

/// From times of a clock that is so far ahead to those of the clock here.
void set_back(Journal::Part& journal, std::chrono::microseconds ahead) {
    journal.ahead = ahead;
    for (JournalEntry& entry : journal.entries) {
        entry.at -= ahead;
        entry.first_at -= ahead;
    }
    if (journal.alarm) move_times(*journal.alarm, -ahead);
}

/// When it opened, and ended unless a controller ended it, is by the clock of its agent.
void set_back(TrackedFault& past, std::chrono::microseconds ahead) {
    past.received_at -= ahead;
    if (past.changed_at != base::WallTime{}) past.changed_at -= ahead;
    if (past.unconfirmed) past.unconfirmed->since -= ahead;
    if (past.fault.cleared_at && is_evidence(past.fault.clear_reason)) *past.fault.cleared_at -= ahead;
}

/// The fault of a journal as it was, if it is over; in times of the clock here.
std::optional<TrackedFault> past_in(const nlohmann::json& row, const std::string& fault,
                                    std::chrono::microseconds ahead) {
    const nlohmann::json* ended = wire::find(row, "ended");
    auto past = ended == nullptr ? std::nullopt : tracked_fault_from_json(*ended);
    if (!past || past->fault.id.str() != fault || past->fault.open()) return std::nullopt;
    set_back(*past, ahead);
    return past;
}

}  // namespace

Peers::Peers(boost::asio::io_context& io, runtime::HttpClient& http, runtime::Problems& problems, PeersConfig config,
             Self self, Handler& handler)
    : http_(http),
      problems_(problems),
      config_(std::move(config)),
      self_(std::move(self)),
      handler_(handler),
      timer_(io) {}

void Peers::start() {
    if (!config_.urls.empty()) poll();
}

void Peers::configure(PeersConfig config) {
    if (config == config_) return;
    for (const std::string& url : config_.urls) {
        for (const auto& problem :
             {maintenance_problem(url), journals_problem(url), clock_problem(url), sinks_problem(url)})
            problems_.clear(problem);
        const auto known = known_.find(url);
        if (known != known_.end() && !known->second.controller.empty()) handler_.peer_removed(known->second.controller);
    }
    for (auto& [url, known] : known_)
        known.pages = 0;  // answers that are under way are dropped with alive_
    config_ = std::move(config);
    alive_ = std::make_shared<int>();
    timer_.cancel();
    start();
}

void Peers::stop() {
    timer_.cancel();
    alive_.reset();
}

std::optional<base::WallTime> Peers::silent_since(const std::string& controller) const {
    base::WallTime last{};
    for (const std::string& url : config_.urls) {
        const auto at = known_.find(url);
        if (at == known_.end() || at->second.controller != controller) continue;
        if (at->second.answers) return std::nullopt;
        last = std::max(last, at->second.answered_at);
    }
    return last;
}

std::string Peers::namesakes() const {
    std::string urls;
    for (const std::string& url : config_.urls) {
        const auto at = known_.find(url);
        if (at != known_.end() && at->second.is_namesake) urls += (urls.empty() ? "the peer " : ", ") + url;
    }
    return urls;
}

void Peers::announce() {
    for (const std::string& url : config_.urls) {
        runtime::HttpClientRequest request = request_to(url + "/v1/peers/ask");
        request.method = "POST";
        // One that does not answer asks by itself when it is back.
        http_.send(std::move(request), [](const auto&) {});
    }
}

void Peers::ask_now() {
    if (config_.urls.empty() || !alive_) return;
    timer_.after(std::max<base::Duration>(asked_at_ + kAskSpacing - base::Clock::now(), base::Duration::zero()),
                 [this] { poll(); });
}

void Peers::poll() {
    asked_at_ = base::Clock::now();
    for (const std::string& url : config_.urls) {
        ask_maintenance(url);
        ask_journals(url);
    }
    timer_.after(config_.poll_interval, [this] { poll(); });
}

runtime::HttpClientRequest Peers::request_to(const std::string& url) const {
    runtime::HttpClientRequest request;
    request.url = url;
    request.ca_file = config_.ca_file;
    request.timeout = kTimeout;
    if (!config_.token.empty()) request.headers["Authorization"] = "Bearer " + config_.token;
    return request;
}

void Peers::get(const std::string& url, std::function<void(const Answer&)> answered) {
    http_.send(request_to(url), [answered = std::move(answered), alive = std::weak_ptr(alive_)](const auto& answer) {
        if (!alive.expired()) answered(answer);
    });
}

void Peers::ask_maintenance(const std::string& url) {
    get(url + "/v1/maintenance", [this, url, asked_at = base::Clock::now()](const Answer& answer) {
        const auto windows = read_windows(answer, asked_at);
        if (!windows) return problems_.set(maintenance_problem(url), windows.error().message);
        const std::size_t no_room = handler_.maintenance_of_peer(*windows);
        problems_.set(maintenance_problem(url),
                      no_room == 0 ? "" : std::to_string(no_room) + " of its windows are more than can be kept here");
    });
}

void Peers::ask_journals(const std::string& url) {
    if (known_[url].pages == 0) ask_page(url);
}

void Peers::ask_page(const std::string& url) {
    ++known_[url].pages;
    const base::TimePoint asked_at = base::Clock::now();
    get(url + "/v1/journals?agents=1&after=" + std::to_string(known_[url].number),
        [this, url, asked_at](const Answer& answer) {
            Known& known = known_[url];
            const auto more = take_journals(url, known, answer, asked_at);
            known.answers = more.has_value();
            known.is_namesake = known.is_namesake && known.answers;
            if (more) known.answered_at = std::chrono::system_clock::now();
            if (!more && !known.controller.empty()) handler_.peer_silent(known.controller);
            problems_.set(journals_problem(url), more ? "" : more.error().message);
            if (more && *more && known.pages < kMaxPages) return ask_page(url);
            known.pages = 0;
        });
}

base::Result<bool> Peers::take_journals(const std::string& url, Known& known, const Answer& answer,
                                        base::TimePoint asked_at) {
    const auto object = read_object(answer);
    if (!object) return tl::make_unexpected(object.error());
    const std::string controller = wire::text_or(*object, "controller");
    const std::string life = wire::text_or(*object, "life");
    const nlohmann::json* list = wire::find(*object, "journals");
    if (list == nullptr || !list->is_array() || controller.empty() || life.empty())
        return base::fail(base::Errc::bad_field, "expected 'controller', 'life' and an array 'journals'");
    const bool ours = controller == self_.controller;
    known.is_namesake = ours && life != base::to_iso8601(self_.started_at);
    const std::string earlier = std::exchange(known.controller, ours ? "" : controller);
    if (!earlier.empty() && earlier != controller) handler_.peer_removed(earlier);
    // Two of one name cannot be told apart: neither knows what the other one did from what it did itself.
    if (ours) return false;
    const auto ahead = clock_ahead(*object, asked_at);
    problems_.set(clock_problem(url), describe(ahead));
    problems_.set(sinks_problem(url), describe_sinks(handler_.sink_names(), *object));
    // A controller of a release that does not tell of agents is not waited for.
    if (auto agents = peer_answer_from_json(*object)) handler_.agents_of_peer(std::move(*agents), asked_at);
    if (std::exchange(known.life, life) != life && known.number != 0) {
        known.number = 0;  // it has started again, and so its numbers
        return true;
    }
    const std::uint64_t before = known.number;
    for (const nlohmann::json& row : *list) {
        auto journal = journal_part_from_json(row);
        const std::string fault = wire::text_or(row, "fault");
        known.number = std::max(known.number,
                                static_cast<std::uint64_t>(std::max<std::int64_t>(wire::int_or(row, "number", 0), 0)));
        if (!journal || fault.empty() || fault.size() > bus::kMaxFaultId) continue;
        set_back(*journal, ahead);
        handler_.journal_of_peer(base::FaultId(fault), controller, std::move(*journal), past_in(row, fault, ahead));
    }
    return known.number > before && !wire::bool_or(*object, "complete", true);
}

}  // namespace vitalwire::controller

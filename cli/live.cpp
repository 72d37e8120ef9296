#include "cli/live.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "cli/answer.hpp"
#include "cli/events.hpp"
#include "cli/format.hpp"
#include "cli/human.hpp"
#include "cli/output.hpp"
#include "cli/queries.hpp"
#include "cli/views.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

namespace asio = boost::asio;
using base::Result;
using nlohmann::json;

namespace {

constexpr base::Millis kPeriod{1000};

/// Calls `once` every second; it returns false when it was interrupted.
template <class Once>
int repeat(asio::io_context& io, Once once) {
    bool quit = false;
    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        quit = true;
        io.stop();
    });
    while (!quit && std::ferror(stdout) == 0) {
        const auto next = base::Clock::now() + kPeriod;
        once(quit);
        if (quit) break;
        io.restart();
        io.run_until(next);
    }
    return kOk;
}

/// The alternate screen of a terminal, which gives the old one back at the end.
class Screen {
public:
    explicit Screen(Style style) : style_(std::move(style)) { std::fputs("\033[?1049h\033[?25l", stdout); }
    ~Screen() {
        std::fputs("\033[?25h\033[?1049l", stdout);
        std::fflush(stdout);
    }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    void show(const json& overview) {
        measure();
        draw(top_view(overview, std::chrono::system_clock::now(), style_, rows_));
    }

    void show_silence(const std::string& why) {
        measure();
        Lines lines = {paint("no answer, retrying", Tone::bad, style_), ""};
        std::size_t begin = 0;
        while (begin <= why.size()) {
            const std::size_t end = std::min(why.find('\n', begin), why.size());
            add_line(lines, base::escape(why.substr(begin, end - begin)), style_);
            begin = end + 1;
        }
        if (lines.size() > rows_) lines.resize(rows_);
        draw(lines);
    }

private:
    void measure() {
        winsize size{};
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return;
        style_.width = size.ws_col;
        rows_ = size.ws_row;
    }

    static void draw(const Lines& lines) {
        std::string out = "\033[H";
        for (std::size_t i = 0; i < lines.size(); ++i)
            out += (i == 0 ? "" : "\n") + lines[i] + "\033[K";
        out += "\033[J";
        std::fwrite(out.data(), 1, out.size(), stdout);
        std::fflush(stdout);
    }

    Style style_;
    std::size_t rows_ = 24;
};

/// Prints events as they are found by comparing answers.
class Follower {
public:
    Follower(Client& client, const Options& options) : client_(client), options_(options) {}

    void poll(const bool& quit) {
        // First of all: what happens from here on is in no page yet.
        if (first_) {
            const auto newest = page_of_newest("");
            if (quit) return;
            if (!newest) return print_silence(newest.error().message);
            begin_after(*newest);
        }
        auto answer = first_ && options_.since ? faults_and_alarms_of(client_, options_.since, options_.until)
                                               : faults_and_alarms(client_, false);
        if (quit) return;
        if (!answer) return print_silence(answer.error().message);
        if (const std::string source = client_.source(); std::exchange(source_, source) != source)
            print({{"event", "source"}, {"source", source_}}, "asking " + base::escape(source_));
        const auto asked = std::exchange(asked_, std::chrono::system_clock::now());
        if (std::exchange(first_, false)) return begin(*answer);
        compare(*answer, asked);
    }

private:
    Result<json> page_of_newest(const std::string& after) {
        return client_.get("/v1/faults?all=1&newest=1&limit=" + std::to_string(kPage) +
                           (after.empty() ? "" : "&after=" + after));
    }

    /// What is in this page, and all that was opened before, happened before.
    void begin_after(const json& newest) {
        for (const json* fault : listed(newest, "faults")) {
            known_.insert(wire::text_or(*fault, "id"));
            if (!wire::text_or(newest, "next").empty()) known_until_ = opened_here(*fault);
        }
    }

    void begin(const json& answer) {
        if (options_.since) print_events(history(answer, options_.since, options_.until)["events"]);
        last_ = open_faults(answer);
        known_from_ = source_;
        for (const json* fault : listed(answer, "faults"))
            known_.insert(wire::text_or(*fault, "id"));
    }

    void compare(const json& answer, base::WallTime asked) {
        OpenFaults now = open_faults(answer);
        Changes found = changes(last_, now, base::to_iso8601(std::chrono::system_clock::now()));
        if (const auto added = add_clears(found, answer); !added)
            return print_silence(added.error().message);  // compared again the next time
        const auto ended = ended_since(now, asked);
        if (!ended) return print_silence(ended.error().message);
        print_events(found.events);
        print_events(history({{"faults", *ended}}, std::nullopt, std::nullopt)["events"]);
        last_ = std::move(now);
    }

    /// Those that opened and ended since the answer before: of the newest a page after the other, until all are known.
    Result<json> ended_since(const OpenFaults& now, base::WallTime asked) {
        const bool moved = known_from_ != source_;
        json ended = json::array();
        std::string after;
        do {
            auto page = page_of_newest(after);
            if (!page) return page;
            bool any_new = false;
            for (const json* fault : listed(*page, "faults")) {
                const std::string id = wire::text_or(*fault, "id");
                if (opened_here(*fault) < known_until_) continue;
                const bool is_open = wire::text_or(*fault, "state") != "cleared";
                if (is_open && !now.contains(id)) continue;  // the next answer has it
                if (!known_.insert(id).second) continue;
                any_new = true;
                // Another controller's history has what ended before, too.
                const bool is_old = moved && base::from_iso8601(cleared_here(*fault)) < asked;
                if (!is_open && !is_old && !now.contains(id) && !last_.contains(id)) ended.push_back(*fault);
            }
            after = any_new ? wire::text_or(*page, "next") : "";
        } while (!after.empty());
        known_from_ = source_;
        return ended;
    }

    /// How the faults ended that are open no more: the answer has those that ended a moment ago.
    Result<void> add_clears(Changes& found, const json& answer) {
        std::map<std::string, const json*> listed_ones;
        for (const char* key : {"faults", "alarms"}) {
            for (const json* fault : listed(answer, key))
                listed_ones[wire::text_or(*fault, "id")] = fault;
        }
        const std::string now = base::to_iso8601(std::chrono::system_clock::now());
        for (const json& gone : found.gone) {
            const std::string id = wire::text_or(gone, "id");
            const auto known = listed_ones.find(id);
            const auto fault = known != listed_ones.end() ? Result<json>(*known->second) : ended(gone);
            if (!fault) return tl::make_unexpected(fault.error());
            const std::string time = cleared_here(*fault);
            found.events.push_back(make_event("cleared", time.empty() ? now : time, *fault));
        }
        return {};
    }

    /// From its own page, which an agent does not have, nor a controller when the history is full.
    Result<json> ended(const json& gone) {
        auto fault = client_.get("/v1/faults/" + wire::text_or(gone, "id"));
        const bool answered =
            fault || fault.error().code == base::Errc::not_found || fault.error().code == base::Errc::permission;
        if (!fault) return answered ? Result<json>(gone) : fault;
        fault->erase("journal");
        return fault;
    }

    void print_silence(const std::string& why) {
        if (std::exchange(source_, kNobody) == kNobody) return;
        print({{"event", "source"}, {"source", nullptr}, {"why", why}}, "no answer: " + base::escape(why));
    }

    void print_events(const json& events) const {
        for (const json& event : events)
            print_at_once(options_.format == Format::json ? json_text(event, true) : event_line(event));
    }

    void print(json event, const std::string& text) const {
        const auto now = std::chrono::system_clock::now();
        event["time"] = base::to_iso8601(now);
        print_at_once(options_.format == Format::json ? json_text(event, true) : human_time(now) + ' ' + text);
    }

    static constexpr const char* kNobody = "-";
    static constexpr int kPage = 200;

    Client& client_;
    const Options& options_;
    std::string source_;  ///< who answered last; kNobody when nobody does
    OpenFaults last_;
    std::set<std::string> known_;  ///< ids of faults that were open or over in any answer
    std::string known_until_;      ///< those that were opened before are known, too
    std::string known_from_;       ///< whose answers these were
    base::WallTime asked_{};       ///< when the last answer came
    bool first_ = true;
};

}  // namespace

int top(asio::io_context& io, Client& client, const Options& options) {
    if (isatty(STDOUT_FILENO) == 0) {
        std::fputs("vitalwire: top needs a terminal; elsewhere use: vitalwire events --follow\n", stderr);
        return kUsage;
    }
    Screen screen(options.style);
    return repeat(io, [&](const bool& quit) {
        const auto answer = overview(client);
        if (quit) return;
        answer ? screen.show(*answer) : screen.show_silence(answer.error().message);
    });
}

int follow(asio::io_context& io, Client& client, const Options& options) {
    Follower follower(client, options);
    return repeat(io, [&](const bool& quit) { follower.poll(quit); });
}

}  // namespace vitalwire::cli

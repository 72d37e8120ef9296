#include "cli/watch.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "cli/changes.hpp"
#include "cli/human.hpp"
#include "cli/views.hpp"

namespace vitalwire::cli {

namespace asio = boost::asio;
using base::Result;
using nlohmann::json;

namespace {

constexpr base::Millis kPeriod{1000};

/// What is shown, all of one source.
struct Answers {
    json status;
    json guests;
    json faults;
};

Result<Answers> ask(Client& client) {
    Answers out;
    for (auto [path, into] :
         {std::pair("/v1/status", &out.status), {"/v1/guests", &out.guests}, {"/v1/faults", &out.faults}}) {
        auto answer = client.get(path);
        if (!answer) return tl::make_unexpected(answer.error());
        *into = std::move(*answer);
    }
    return out;
}

/// Where the answers go; both forms of output.
class Display {
public:
    virtual ~Display() = default;
    virtual void show(const Answers& answers, const std::string& source) = 0;
    virtual void show_silence(const std::string& why) = 0;
};

/// The alternate screen of a terminal, which gives the old one back at the end.
class Screen final : public Display {
public:
    explicit Screen(bool color) : style_{color, 80} { std::fputs("\033[?1049h\033[?25l", stdout); }
    ~Screen() override {
        std::fputs("\033[?25h\033[?1049l", stdout);
        std::fflush(stdout);
    }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    void show(const Answers& answers, const std::string& source) override {
        measure();
        const auto now = std::chrono::system_clock::now();
        Lines lines = {cut_to_width(base::to_iso8601(now).substr(0, 19) + "Z  " + base::escape(source), style_.width),
                       ""};
        for (const Lines& part :
             {status_view(answers.status, now, style_), Lines{""}, faults_view(answers.faults, now, style_), Lines{""},
              guests_view(answers.guests, now, style_)})
            lines.insert(lines.end(), part.begin(), part.end());
        draw(std::move(lines));
    }

    void show_silence(const std::string& why) override {
        measure();
        Lines lines = {paint("nobody answers, asking again", Tone::bad, style_), ""};
        std::size_t begin = 0;
        while (begin <= why.size()) {
            const std::size_t end = std::min(why.find('\n', begin), why.size());
            lines.push_back(base::escape(why.substr(begin, end - begin)));
            begin = end + 1;
        }
        draw(std::move(lines));
    }

private:
    void measure() {
        winsize size{};
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return;
        style_.width = size.ws_col;
        rows_ = size.ws_row;
    }

    void draw(Lines lines) const {
        if (lines.size() > rows_) {
            const std::size_t hidden = lines.size() - rows_ + 1;
            lines.resize(rows_ - 1);
            lines.push_back("... and " + counted(static_cast<std::int64_t>(hidden), "more line"));
        }
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

/// One line for each change.
class Log final : public Display {
public:
    explicit Log(bool as_json) : as_json_(as_json) {}

    void show(const Answers& answers, const std::string& source) override {
        if (std::exchange(source_, source) != source)
            print({"asking " + base::escape(source), {{"change", "source"}, {"source", source}}});
        Snapshot now = Snapshot::of(answers.guests, answers.faults);
        for (const Change& change : changes(last_, now))
            print(change);
        last_ = std::move(now);
    }

    void show_silence(const std::string& why) override {
        if (source_ == kNobody) return;
        source_ = kNobody;
        print({"nobody answers: " + base::escape(why), {{"change", "source"}, {"source", nullptr}, {"why", why}}});
    }

private:
    static constexpr const char* kNobody = "-";

    void print(Change change) const {
        const std::string time = base::to_iso8601(std::chrono::system_clock::now());
        change.json["time"] = time;
        const std::string line = as_json_ ? json_text(change.json, true) : time.substr(0, 19) + "Z " + change.text;
        std::puts(line.c_str());
        std::fflush(stdout);
    }

    bool as_json_;
    std::string source_;
    Snapshot last_;
};

std::unique_ptr<Display> make_display(const Options& options) {
    if (options.json || isatty(STDOUT_FILENO) == 0) return std::make_unique<Log>(options.json);
    return std::make_unique<Screen>(options.color);
}

}  // namespace

int watch(asio::io_context& io, Client& client, const Options& options) {
    bool quit = false;
    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        quit = true;
        io.stop();
    });
    const auto display = make_display(options);
    while (!quit && std::ferror(stdout) == 0) {
        const auto next = base::Clock::now() + kPeriod;
        const auto answers = ask(client);
        if (quit) break;
        answers ? display->show(*answers, client.source()) : display->show_silence(answers.error().message);
        io.restart();
        io.run_until(next);
    }
    return kOk;
}

}  // namespace vitalwire::cli

#include "controller/http/event_stream.hpp"

#include <optional>
#include <string>

namespace vitalwire::controller {

namespace {

constexpr base::Millis kPause{1000};
constexpr int kPausesBetweenComments = 15;

struct Versions {
    std::uint64_t faults = 0;
    std::uint64_t guests = 0;
    std::uint64_t agents = 0;
    std::uint64_t problems = 0;

    friend bool operator==(const Versions&, const Versions&) = default;
};

std::string to_event(const Versions& versions) {
    return "event: changed\ndata: {\"faults\":" + std::to_string(versions.faults) +
           ",\"guests\":" + std::to_string(versions.guests) + ",\"agents\":" + std::to_string(versions.agents) +
           ",\"problems\":" + std::to_string(versions.problems) + "}\n\n";
}

/// One client's. A call compares four numbers: it costs the loop nothing, however many guests there are.
class EventStream {
public:
    explicit EventStream(const ApiContext& context) : context_(context) {}

    void append_to(std::string& piece) {
        const Versions now{context_.faults_version(), context_.fleet().guests_version() + context_.inventory.version(),
                           context_.fleet().version(), context_.problems.version()};
        if (sent_ != now) {
            piece += to_event(now);
        } else if (++quiet_ == kPausesBetweenComments) {
            piece += ": nothing has changed\n\n";
        }
        if (!piece.empty()) quiet_ = 0;
        sent_ = now;
    }

private:
    const ApiContext& context_;
    std::optional<Versions> sent_;
    int quiet_ = 0;  ///< calls since the last piece
};

}  // namespace

runtime::HttpResponse events(const ApiContext& context, const runtime::HttpRequest&) {
    runtime::HttpResponse response{200, "text/event-stream", ""};
    response.pause = kPause;
    response.more = [stream = EventStream(context)](std::string& piece) mutable {
        stream.append_to(piece);
        return true;
    };
    return response;
}

}  // namespace vitalwire::controller

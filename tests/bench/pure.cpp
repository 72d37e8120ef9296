// What a beat costs in memory: framing, JSON, codecs and the host's session, each beside something everybody knows, in
// the same run. The last lines are the ratios.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "heartbeat/host_session.hpp"
#include "wire/heartbeat_codec.hpp"
#include "wire/inbound.hpp"
#include "wire/json_reader.hpp"
#include "wire/line_framer.hpp"

namespace {

using namespace vitalwire;
using nlohmann::json;

const wire::Challenge kChallenge{base::SessionId("6f1c2a9e-0d7b-4c55-9a43-5e2f8b7c1d20"), 31852575};
const wire::ChallengeResponse kResponse{kChallenge.session, kChallenge.value, true, "", {}};

/// Without its newlines, as the framer hands it out.
std::string response_line() {
    const std::string message = wire::encode_heartbeat(kResponse, wire::Dialect::native, 1);
    return message.substr(1, message.size() - 2);
}

/// A read of some 300 answers at once.
std::string burst() {
    std::string bytes;
    while (bytes.size() < 64U * 1024)
        bytes += "\n" + response_line() + "\n";
    return bytes;
}

void copy_bytes(benchmark::State& state) {
    const std::string bytes = burst();
    std::string copy;
    for (auto _ : state) {
        copy.assign(bytes);
        benchmark::DoNotOptimize(copy.data());
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}

void frame_lines(benchmark::State& state) {
    const std::string bytes = burst();
    wire::LineFramer framer(wire::max_line(wire::ChannelKind::native));
    std::size_t lines = 0;
    for (auto _ : state)
        framer.feed(bytes, [&](std::string_view) { ++lines; });
    benchmark::DoNotOptimize(lines);
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}

void nlohmann_parse(benchmark::State& state) {
    const std::string line = response_line();
    for (auto _ : state)
        benchmark::DoNotOptimize(json::parse(line, nullptr, false));
}

void read_json(benchmark::State& state) {
    const std::string line = response_line();
    for (auto _ : state)
        benchmark::DoNotOptimize(wire::parse_object(line));
}

void decode_response(benchmark::State& state) {
    const std::string line = response_line();
    for (auto _ : state)
        benchmark::DoNotOptimize(wire::read_line(line, wire::ChannelKind::native, wire::Receiver::host));
}

void nlohmann_dump(benchmark::State& state) {
    const std::string message = wire::encode_heartbeat(kChallenge, wire::Dialect::native, 1);
    const json document = json::parse(message, nullptr, false);
    for (auto _ : state)
        benchmark::DoNotOptimize(document.dump());
}

void encode_challenge(benchmark::State& state) {
    for (auto _ : state)
        benchmark::DoNotOptimize(wire::encode_heartbeat(kChallenge, wire::Dialect::native, 1));
}

class CountingEntropy final : public heartbeat::IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_ & wire::kMaxInt31; }
    base::SessionId session_id() override { return kChallenge.session; }

private:
    std::int64_t challenges_ = 0;
};

/// A challenge sent and its answer judged.
void session_turn(benchmark::State& state) {
    CountingEntropy entropy;
    heartbeat::HostSession session({}, entropy);
    heartbeat::HostActions actions;
    base::TimePoint now{std::chrono::hours(1)};
    const auto step = [&](const heartbeat::HostEvent& event) {
        actions.clear();
        session.step(event, now, {}, actions);
    };
    step(heartbeat::Connected{wire::Dialect::native});
    step(heartbeat::Received{wire::Dialect::native, wire::Init{1, 0, "vm1", base::Millis(1000), {}, {}}});
    wire::ChallengeResponse response = kResponse;
    for (auto _ : state) {
        now = std::max(now, session.next_deadline());
        step(heartbeat::Tick{});
        response.value = std::get<wire::Challenge>(std::get<heartbeat::Send>(actions.back()).pdu).value;
        step(heartbeat::Received{wire::Dialect::native, response});
    }
    if (session.counters().responses != session.counters().challenges)
        state.SkipWithError("an answer was not accepted");
}

/// The least a beat can cost anybody: a challenge and its answer through a socket, nothing read in them.
void bare_socket(benchmark::State& state) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) return state.SkipWithError("socketpair");
    const std::string challenge = wire::encode_heartbeat(kChallenge, wire::Dialect::native, 1);
    const std::string response = wire::encode_heartbeat(kResponse, wire::Dialect::native, 1);
    std::array<char, 4096> buffer{};
    const auto pass = [&](int from, int to, const std::string& message) {
        return ::send(from, message.data(), message.size(), MSG_NOSIGNAL) > 0 &&
               ::recv(to, buffer.data(), buffer.size(), 0) > 0;
    };
    for (auto _ : state) {
        if (!pass(ends[0], ends[1], challenge) || !pass(ends[1], ends[0], response)) state.SkipWithError("socket");
    }
    ::close(ends[0]);
    ::close(ends[1]);
}

/// All of a beat that is not the kernel's.
void beat(benchmark::State& state) {
    const std::string read = "\n" + response_line() + "\n";
    wire::LineFramer framer(wire::max_line(wire::ChannelKind::native));
    for (auto _ : state) {
        benchmark::DoNotOptimize(wire::encode_heartbeat(kChallenge, wire::Dialect::native, 1));
        framer.feed(read, [](std::string_view line) {
            benchmark::DoNotOptimize(wire::read_line(line, wire::ChannelKind::native, wire::Receiver::host));
        });
    }
}

struct Pair {
    const char* figure;
    const char* baseline;
};
constexpr Pair kPairs[] = {{"frame_lines", "copy_bytes"},         {"read_json", "nlohmann_parse"},
                           {"decode_response", "nlohmann_parse"}, {"encode_challenge", "nlohmann_dump"},
                           {"session_turn", "bare_socket"},       {"beat", "bare_socket"}};

BENCHMARK(copy_bytes);
BENCHMARK(frame_lines);
BENCHMARK(nlohmann_parse);
BENCHMARK(read_json);
BENCHMARK(decode_response);
BENCHMARK(nlohmann_dump);
BENCHMARK(encode_challenge);
BENCHMARK(session_turn);
BENCHMARK(bare_socket);
BENCHMARK(beat);

/// Google Benchmark's table, and the ratios under it.
class RatioReporter final : public benchmark::ConsoleReporter {
public:
    RatioReporter() : ConsoleReporter(OO_Tabular) {}

    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) {
            if (!run.error_occurred && run.iterations > 0)
                nanoseconds_[run.benchmark_name()] =
                    run.cpu_accumulated_time / static_cast<double>(run.iterations) * 1e9;
        }
        ConsoleReporter::ReportRuns(runs);
    }

    bool print_ratios() const {
        std::printf("\n%-18s %12s   %-16s %12s %8s\n", "figure", "CPU ns", "baseline", "CPU ns", "ratio");
        bool complete = true;
        for (const Pair& pair : kPairs) {
            const auto figure = nanoseconds_.find(pair.figure);
            const auto baseline = nanoseconds_.find(pair.baseline);
            complete = complete && figure != nanoseconds_.end() && baseline != nanoseconds_.end();
            if (!complete) break;
            std::printf("%-18s %12.0f   %-16s %12.0f %8.2f\n", pair.figure, figure->second, pair.baseline,
                        baseline->second, figure->second / baseline->second);
        }
        return complete;
    }

private:
    std::map<std::string, double> nanoseconds_;
};

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    RatioReporter reporter;
    benchmark::RunSpecifiedBenchmarks(&reporter);
    return reporter.print_ratios() ? 0 : 1;
}

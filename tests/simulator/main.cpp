// simulator: agents, controllers, guests and inspectors in virtual time, with everything going wrong that a seed makes
// go wrong. A seed that violates an invariant does so at every run.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>

#include "base/log.hpp"
#include "options.hpp"
#include "sweep.hpp"

using namespace vitalwire;
using simulator::Options;

namespace {

constexpr double kSecondsPerHour = 3600;

void print_log(log::Level, std::string_view line) {
    std::printf("                %.*s\n", static_cast<int>(line.size()), line.data());
}

void drop_log(log::Level, std::string_view) {}

/// "7..99", or "99" for 1..99.
std::string read_range(const std::string& text, Options& options) {
    const auto dots = text.find("..");
    const auto number = [](const std::string& digits, std::uint64_t& value) {
        if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return false;
        value = std::strtoull(digits.c_str(), nullptr, 10);
        return true;
    };
    options.first_seed = 1;
    const bool first = dots == std::string::npos || number(text.substr(0, dots), options.first_seed);
    const bool last = number(dots == std::string::npos ? text : text.substr(dots + 2), options.last_seed);
    if (first && last && options.first_seed <= options.last_seed) return {};
    return "'" + text + "' is no range of seeds: write 7..99, or 99 for 1..99";
}

/// Prints what happens; false if an invariant is violated.
bool play(const Options& options, std::uint64_t seed) {
    log::set_backend(options.verbose ? print_log : drop_log);
    const auto detail = options.verbose ? simulator::Detail::everything : simulator::Detail::story;
    try {
        simulator::Simulation simulation(seed, options.size, detail);
        simulation.run();
        std::printf("seed %ju holds: %s\n", static_cast<std::uintmax_t>(seed), simulation.result().text().c_str());
        return true;
    } catch (const simulator::Violation& violation) {
        std::printf("seed %ju violates:\n%s\n", static_cast<std::uintmax_t>(seed), violation.what());
        return false;
    }
}

}  // namespace

namespace vitalwire::simulator {

std::string Options::replay(const std::string& program, std::uint64_t seed) const {
    char text[256];
    std::snprintf(text, sizeof text,
                  " --seed %ju --guests %zu --hosts %zu --controllers %zu --inspectors %zu --hours %.5f",
                  static_cast<std::uintmax_t>(seed), size.guests, size.hosts, size.controllers, size.inspectors,
                  static_cast<double>(size.disturbed.count()) / kSecondsPerHour);
    return program + text;
}

}  // namespace vitalwire::simulator

int main(int argc, char** argv) {
    Options options;
    simulator::Size& size = options.size;
    options.processes = std::max(1U, std::thread::hardware_concurrency());
    double hours = static_cast<double>(size.disturbed.count()) / kSecondsPerHour;
    std::string range;

    CLI::App app("The whole of Vitalwire but its sockets, in virtual time and disturbed.");
    const auto* one = app.add_option("--seed", options.first_seed, "plays this seed and prints its story");
    app.add_option("--seeds", range, "plays many, several at once: A..B, or B for 1..B")->excludes("--seed");
    app.add_option("--hours", hours, "virtual hours in which things go wrong, of each seed")->capture_default_str();
    app.add_option("--processes", options.processes, "how many seeds are played at once")->capture_default_str();
    app.add_option("--guests", size.guests, "number of guests")->capture_default_str();
    app.add_option("--hosts", size.hosts, "compute nodes, an agent each")->capture_default_str();
    app.add_option("--controllers", size.controllers, "number of controllers")->capture_default_str();
    app.add_option("--inspectors", size.inspectors, "receivers of faults")->capture_default_str();
    app.add_flag("--verbose", options.verbose, "the story with every heartbeat and what the programs log");
    CLI11_PARSE(app, argc, argv);
    size.disturbed = std::chrono::seconds(std::llround(hours * kSecondsPerHour));
    if (one->count() > 0 || range.empty()) return play(options, options.first_seed) ? 0 : 1;

    if (const std::string problem = read_range(range, options); !problem.empty()) {
        std::fprintf(stderr, "simulator: %s\n", problem.c_str());
        return 2;
    }
    log::set_backend(drop_log);
    const simulator::Sweep sweep = simulator::play_all(options);
    std::fputs(sweep.text().c_str(), stdout);
    if (sweep.violations.empty()) return 0;
    std::printf("\nwhat happened in the first of them:\n");
    for (const auto& [seed, what] : sweep.violations) {
        if (what.ended_by_signal) continue;  // this process is to live
        play(options, seed);
        break;
    }
    for (const auto& [seed, what] : sweep.violations)
        std::printf("again: %s\n", options.replay(argv[0], seed).c_str());
    return 1;
}

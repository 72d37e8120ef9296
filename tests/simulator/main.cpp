// simulator: agents, controllers, guests and inspectors in virtual time, with everything going wrong that a seed makes
// go wrong. A seed that violates an invariant does so at every run.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/log.hpp"
#include "simulation.hpp"

using namespace vitalwire;

namespace {

void print_log(log::Level, std::string_view line) {
    std::printf("                %.*s\n", static_cast<int>(line.size()), line.data());
}

void drop_log(log::Level, std::string_view) {}

bool holds(std::uint64_t seed, const simulator::Size& size, bool verbose, bool summary) {
    try {
        simulator::Simulation simulation(seed, size, verbose);
        simulation.run();
        if (summary) std::printf("seed %ju: %s\n", static_cast<std::uintmax_t>(seed), simulation.summary().c_str());
        return true;
    } catch (const simulator::Violation& violation) {
        std::printf("seed %ju violates:\n%s\n", static_cast<std::uintmax_t>(seed), violation.what());
        return false;
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t seed = 1;
    std::uint64_t seeds = 1;
    simulator::Size size;
    std::int64_t disturbed = size.disturbed.count();
    bool verbose = false;

    CLI::App app("The whole of Vitalwire but its sockets, in virtual time and disturbed.");
    app.add_option("--seed", seed, "the first seed")->capture_default_str();
    app.add_option("--seeds", seeds, "how many seeds to try")->capture_default_str();
    app.add_option("--guests", size.guests, "number of guests")->capture_default_str();
    app.add_option("--hosts", size.hosts, "compute nodes, an agent each")->capture_default_str();
    app.add_option("--controllers", size.controllers, "number of controllers")->capture_default_str();
    app.add_option("--inspectors", size.inspectors, "receivers of faults")->capture_default_str();
    app.add_option("--disturbed", disturbed, "seconds in which things go wrong")->capture_default_str();
    app.add_flag("--verbose", verbose, "print everything that happens");
    CLI11_PARSE(app, argc, argv);
    size.disturbed = std::chrono::seconds(disturbed);
    log::set_backend(verbose ? print_log : drop_log);

    std::uint64_t violations = 0;
    for (const std::uint64_t last = seed + seeds; seed < last; ++seed) {
        if (holds(seed, size, verbose, seeds == 1)) continue;
        std::printf(
            "again: %s --seed %ju --guests %zu --hosts %zu --controllers %zu --inspectors %zu --disturbed %jd\n",
            argv[0], static_cast<std::uintmax_t>(seed), size.guests, size.hosts, size.controllers, size.inspectors,
            static_cast<std::intmax_t>(disturbed));
        const bool first = ++violations == 1;
        if (!first || verbose) continue;
        std::puts("all that happened:");
        log::set_backend(print_log);
        holds(seed, size, true, false);
        log::set_backend(drop_log);
    }
    std::printf("%ju of %ju seeds hold\n", static_cast<std::uintmax_t>(seeds - violations),
                static_cast<std::uintmax_t>(seeds));
    return violations == 0 ? 0 : 1;
}

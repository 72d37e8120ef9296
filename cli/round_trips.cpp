#include "cli/round_trips.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/answer.hpp"
#include "cli/human.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using nlohmann::json;
using wire::int_or;

namespace {

/// model::GuestReport::round_trips.
constexpr std::int64_t kFirstBoundMicros = 128;
constexpr std::size_t kMostBounds = 32;
constexpr std::int64_t kBarWidth = 30;

std::vector<std::int64_t> sum_of(const std::vector<const json*>& guests) {
    std::vector<std::int64_t> sum;
    for (const json* guest : guests) {
        const json* counts = wire::find(*guest, "round_trips");
        if (counts == nullptr || !counts->is_array()) continue;
        const std::size_t size = std::min(counts->size(), kMostBounds);
        sum.resize(std::max(sum.size(), size));
        for (std::size_t i = 0; i < size; ++i) {
            const json& count = (*counts)[i];
            if (count.is_number_integer()) sum[i] += std::clamp<std::int64_t>(count.get<std::int64_t>(), 0, UINT32_MAX);
        }
    }
    return sum;
}

}  // namespace

std::string near_deadline(const json& guest) {
    const std::int64_t longest = int_or(guest, "longest_round_trip_us", -1);
    const std::int64_t deadline = int_or(guest, "response_deadline_ms", 0);
    if (deadline <= 0 || longest < deadline * 1000 / 2) return {};
    return human_micros(longest) + " of " + human_interval(deadline);
}

Table round_trips_table(const std::vector<const json*>& guests) {
    Table table({"ANSWERED WITHIN", "ANSWERS", "SHARE"});
    const std::vector<std::int64_t> counts = sum_of(guests);
    std::int64_t total = 0;
    for (const std::int64_t count : counts)
        total += count;
    if (total == 0) return table;
    const std::int64_t most = *std::max_element(counts.begin(), counts.end());
    const auto first = std::find_if(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; });
    for (auto at = first; at != counts.end(); ++at) {
        const std::int64_t bound = kFirstBoundMicros << (at - counts.begin());
        // One answer among millions is what somebody looks for here.
        const std::int64_t width = *at == 0 ? 0 : std::max<std::int64_t>(1, *at * kBarWidth / most);
        table.add({human_micros(bound), Cell::number(*at, std::to_string(*at)),
                   std::string(static_cast<std::size_t>(width), '#')});
    }
    return table;
}

}  // namespace vitalwire::cli

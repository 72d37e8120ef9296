// The stream of an application of the guest SDK's heartbeat interface, as vitalwired takes it apart.
#include <vector>

#include "fuzz.hpp"
#include "guest/sdk_record.hpp"

namespace {

using namespace vitalwire::guest;

/// Types and first numbers of all records of a stream that comes in pieces of `size`.
std::vector<std::uint64_t> read_all(std::string_view stream, std::size_t size) {
    sdk::RecordReader reader;
    std::vector<std::uint64_t> found;
    const std::size_t total = stream.size();
    for (; !stream.empty(); stream.remove_prefix(std::min(size, stream.size()))) {
        reader.add(stream.substr(0, size));
        while (const auto record = reader.next()) {
            FUZZ_REQUIRE(record->text(0, sdk::kMaxLogMessage).size() <= sdk::kMaxLogMessage);
            found.push_back((std::uint64_t{record->type()} << 32U) + record->number(0));
        }
    }
    FUZZ_REQUIRE(reader.skipped() + found.size() * sdk::kRecordSize <= total);
    FUZZ_REQUIRE(reader.skipped() + (found.size() + 1) * sdk::kRecordSize > total);
    return found;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vitalwire::fuzz::Input in(data, size);
    const std::size_t piece = in.byte() + std::size_t{1};
    const std::string_view stream = in.rest();
    FUZZ_REQUIRE(read_all(stream, piece) == read_all(stream, size + 1));
    return 0;
}

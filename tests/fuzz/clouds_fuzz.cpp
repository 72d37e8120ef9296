// clouds.yaml, where operators keep their clouds: whatever is in it is an error with a place, or a way into a cloud.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "controller/openstack/cloud_access.hpp"
#include "fuzz.hpp"
#include "runtime/config.hpp"

using namespace vitalwire;

namespace {

/// A file in memory, under a name.
class MemoryFile {
public:
    MemoryFile() : descriptor_(::memfd_create("clouds", MFD_CLOEXEC)) { FUZZ_REQUIRE(descriptor_ >= 0); }
    ~MemoryFile() { ::close(descriptor_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    void write(std::string_view text) const {
        FUZZ_REQUIRE(::ftruncate(descriptor_, 0) == 0);
        FUZZ_REQUIRE(::pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    }
    std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

private:
    int descriptor_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const MemoryFile file;
    file.write({reinterpret_cast<const char*>(data), size});

    runtime::ConfigErrors errors;
    const auto config = runtime::ConfigFile::parse("[openstack]\ncloud = lab\nclouds_file = " + file.path() + "\n",
                                                   "controller.conf", errors);
    runtime::ConfigReader section(config, config.sections.at(0), errors);
    const controller::CloudAccess access = controller::read_cloud_access(section, {});
    section.finish();
    if (errors.empty()) FUZZ_REQUIRE(access.auth_url.ends_with("/v3"));
    return 0;
}

// libvitalwire reading vitalwired: datagrams of a daemon that is not one, through the application's end.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "fuzz.hpp"
#include "guest/lib/client.hpp"

using namespace vitalwire;

namespace {

/// The daemon's socket.
class FalseDaemon {
public:
    FalseDaemon() : path_(std::filesystem::temp_directory_path() / ("vw-fuzz-" + std::to_string(::getpid()))) {
        socket_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
        ::unlink(path_.c_str());
        FUZZ_REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        FUZZ_REQUIRE(::listen(socket_, 4) == 0);
    }
    ~FalseDaemon() {
        ::unlink(path_.c_str());
        ::close(socket_);
    }
    FalseDaemon(const FalseDaemon&) = delete;
    FalseDaemon& operator=(const FalseDaemon&) = delete;

    const std::string& path() const { return path_; }
    int accept() const { return ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }

private:
    std::string path_;
    int socket_;
};

/// What the application is given must be bounded.
class Application final : public guest::Client::Events {
public:
    void connection_changed(bool /*connected*/) override {}
    void cannot_connect(const std::string& /*why*/, bool /*is_refusal*/) override {}
    heartbeat::Health health(const heartbeat::Health& current) override { return current; }
    void registration(const base::Result<void>& outcome) override {
        if (!outcome) FUZZ_REQUIRE(outcome.error().message.size() <= guest::app::kMaxDatagram);
    }
    void broadcast(const wire::Delivery& message) override {
        FUZZ_REQUIRE(message.payload.size() <= guest::app::kMaxDatagram);
    }
    void notification(const wire::Notification& /*message*/) override {}
    void refused(const wire::Nack& /*nack*/) override {}
    void dropped(std::uint64_t /*count*/) override {}
    void status(const group::Queries::Outcome& /*outcome*/) override {}
    void action(const guest::app::Action& question) override { FUZZ_REQUIRE(question.event.size() <= wire::kMaxState); }
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const FalseDaemon daemon;
    Application application;
    auto client = guest::Client::open(daemon.path(), application);
    FUZZ_REQUIRE(client.has_value());
    (*client)->register_application({}, false);
    (*client)->subscribe({});
    pollfd due{(*client)->descriptor(), POLLIN, 0};
    FUZZ_REQUIRE(::poll(&due, 1, 10'000) == 1);
    static_cast<void>((*client)->dispatch(false));  // it connects from within
    FUZZ_REQUIRE((*client)->connected());
    static_cast<void>((*client)->query(base::Millis(1000)));
    const int daemons_end = daemon.accept();
    FUZZ_REQUIRE(daemons_end >= 0);

    fuzz::Input input(data, size);
    while (!input.empty()) {
        const std::string_view text = input.rest();
        const std::string_view line = text.substr(0, text.find('\n'));
        input = fuzz::Input(data + size - text.size() + std::min(line.size() + 1, text.size()),
                            text.size() - std::min(line.size() + 1, text.size()));
        if (!line.empty())
            static_cast<void>(::send(daemons_end, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
        static_cast<void>((*client)->dispatch(false));
        char answers[65536];
        while (::recv(daemons_end, answers, sizeof answers, MSG_DONTWAIT) > 0) {
        }
    }
    ::close(daemons_end);
    static_cast<void>((*client)->dispatch(false));
    return 0;
}

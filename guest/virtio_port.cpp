#include "guest/virtio_port.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::chrono::seconds kPortRetry{1};

std::string describe_open_error(const std::string& path, int error) {
    if (error == EBUSY) return "port " + path + " is held by another process";
    return "cannot open port " + path + ": " + std::generic_category().message(error);
}

/// What a shell has written to a port that was not there yet is a file in its place.
std::string describe_no_stream(const std::string& path, const base::Error& error) {
    if (error.code == base::Errc::config) return path + " is not a port but a file: remove it, or name another port";
    return "cannot wait for port " + path + ": " + error.message;
}

}  // namespace

VirtioPort::VirtioPort(boost::asio::io_context& io, std::string name_or_path, PortRoots roots)
    : io_(io), name_(std::move(name_or_path)), roots_(std::move(roots)), retry_(io) {}

VirtioPort::~VirtioPort() {
    close();
}

void VirtioPort::start(Events& events) {
    events_ = &events;
    open();
}

void VirtioPort::stop() {
    retry_.cancel();
    close();
}

void VirtioPort::close() {
    if (stream_) stream_->close();
    stream_.reset();
}

bool VirtioPort::send(std::string message, Priority priority) {
    return stream_ && stream_->send(std::move(message), priority);
}

std::string VirtioPort::status() const {
    if (!stream_) return problem_;
    return host_there_ ? "host connected" : "waiting for a host on port " + name_;
}

void VirtioPort::open() {
    const auto path = find_port(name_, roots_);
    if (!path) {
        report("no virtio-serial port named " + name_);
        return open_later();
    }
    const int descriptor = ::open(path->c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) {
        report(describe_open_error(*path, errno));
        return open_later();
    }
    Stream::Handler handler;
    handler.on_bytes = [this](std::string_view bytes) { events_->received(bytes); };
    handler.on_open = [this] { host_is_there(true); };
    handler.on_hang_up = [this] { host_is_there(false); };
    handler.on_gone = [this](int error) { gone(error); };
    auto stream = Stream::make(io_, descriptor, std::move(handler));
    if (!stream) {
        report(describe_no_stream(*path, stream.error()));
        return open_later();
    }
    problem_.clear();
    log::info("port opened", {{"path", *path}});
    stream_ = std::move(*stream);
    stream_->start();
    tell_change();
}

void VirtioPort::open_later() {
    retry_.after(kPortRetry, [this] { open(); });
}

void VirtioPort::host_is_there(bool there) {
    host_there_ = there;
    if (there) {
        events_->host_connected();
    } else {
        events_->host_disconnected();
    }
    tell_change();
}

void VirtioPort::gone(int error) {
    stream_->close();
    stream_.reset();
    if (host_there_) host_is_there(false);
    report("port " + name_ + " went away: " + std::generic_category().message(error));
    open_later();
}

void VirtioPort::report(const std::string& problem) {
    if (problem == problem_) return;
    problem_ = problem;
    log::warning("the channel is not available, trying again every second", {{"why", problem}});
    tell_change();
}

}  // namespace vitalwire::guest

#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "guest/channel.hpp"
#include "guest/port_finder.hpp"
#include "guest/stream.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The channel on a virtio-serial port, by name ("org.vitalwire.0") or by path ("/dev/..."). A port that is missing,
/// held by another process or unplugged is looked for once a second; each change of its condition is logged once.
class VirtioPort : public Channel {
public:
    VirtioPort(boost::asio::io_context& io, std::string name_or_path, PortRoots roots = {});
    ~VirtioPort() override;

    void start(Events& events) override;
    bool send(std::string message, Priority priority) override;
    void stop() override;
    std::string status() const override;

private:
    void close();
    void open();
    void open_later();
    void host_is_there(bool there);
    void gone(int error);
    void report(const std::string& problem);

    boost::asio::io_context& io_;
    std::string name_;
    PortRoots roots_;
    runtime::Timer retry_;
    Events* events_ = nullptr;
    std::shared_ptr<Stream> stream_;
    std::string problem_;
    bool host_there_ = false;
};

}  // namespace vitalwire::guest

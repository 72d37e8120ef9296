#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "bus/link.hpp"
#include "releases.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// The controller's end of a cable, as long as its process runs.
class CableServer {
public:
    virtual ~CableServer() = default;
    virtual void agent_up(class Cable& cable, const bus::Hello& hello) = 0;
    virtual void agent_down(class Cable& cable, const base::HostId& host) = 0;
    virtual void message(class Cable& cable, const base::HostId& host, const bus::ToController& message) = 0;
    /// Something came from an agent that keeps alive.
    virtual void agent_alive(class Cable& cable, const base::HostId& host) = 0;
    /// Calls as soon as the process does something.
    virtual void run(std::function<void()> call) = 0;
};

/// Between one agent and one controller: a stream in both directions that can be cut. What is under way when it is cut
/// waits; each end notices after a while that it receives nothing. Over a broker the messages of each direction wait in
/// the reader's queue there, which can be deleted.
class Cable {
public:
    enum Direction { kToController, kToAgent };

    /// `keep_alive`: both ends send signs of life; those of a release before do not.
    Cable(World& world, base::HostId host, std::string name, bool keep_alive)
        : world_(world), host_(std::move(host)), name_(std::move(name)), keep_alive_(keep_alive) {}

    std::string name() const { return host_.str() + " and " + name_; }
    const base::HostId& host() const { return host_; }
    const std::string& controller() const { return name_; }

    /// Cuts may overlap: it is whole when all of them are healed.
    void cut();
    void heal();
    void heal_all();
    /// The broker deletes the reader's queue, and what is in it is lost. The reader is told, connects again and has
    /// another one; who writes learns of it with its next message, which nobody takes.
    void delete_queue(Direction direction);
    /// The broker has nothing that brings agents' messages to the controller's queue, until the controller binds it
    /// again, at that time. What is in the queue stays; agents are told with their next message.
    void unbind(TimePoint until);
    /// Since when it has been whole; the time now while it is cut.
    TimePoint whole_since() const { return cut_ > 0 ? world_.now() : std::min(whole_since_, world_.now()); }
    /// Since when the controller has had the agent's hello; the time now while they cannot reach each other.
    TimePoint connected_since() const {
        const bool reachable = cut_ == 0 && !has_no_reader(kToController) && !has_no_reader(kToAgent);
        return reachable && agent_end_ && server_end_ ? connected_since_ : world_.now();
    }
    /// The agent has another name from its next start.
    void rename(base::HostId host) { host_ = std::move(host); }

    // From the next start of the process at that end.
    void set_agents_release(Release release) { releases_[kToController] = release; }
    void set_controllers_release(Release release) { releases_[kToAgent] = release; }

    // The controller's process.
    void serve(CableServer* server);
    void server_died();
    void send_to_agent(const bus::ToAgent& message);
    void reject(const bus::Rejected& rejected);
    /// Number of the present or last connection.
    std::uint64_t connection() const { return connection_; }

private:
    friend class CableLink;

    void dial(class CableLink* link);
    void hang_up();
    void send(Direction direction, const std::string& line);
    void transmit(Direction direction, std::string line);
    void arrive(Direction direction, const std::string& line);
    void keep_alive();
    void sign_of_life(Direction direction);
    void alive(Direction direction);
    void deliver(Direction direction, const std::string& line);
    void agent_loses(const std::string& why);
    void server_loses();
    bool has_no_reader(Direction direction) const;
    void return_to_sender(Direction direction);
    void lose(Direction read, const std::string& why);
    void lose_in_time(Direction read);
    void within_connection(Duration delay, std::function<void()> call);

    World& world_;
    base::HostId host_;
    std::string name_;
    bool keep_alive_;
    TimePoint whole_since_{};
    class CableLink* link_ = nullptr;  ///< while the agent's process runs
    CableServer* server_ = nullptr;    ///< while the controller's process runs
    int cut_ = 0;                      ///< how many times at present
    std::uint64_t cuts_ = 0;
    TimePoint redial_from_{};
    TimePoint connected_since_{};
    base::HostId served_;  ///< as the agent of the present connection named itself
    std::uint64_t connection_ = 0;
    std::uint64_t queues_[2]{};  ///< of the readers of that direction, so far
    bool deleted_[2]{};          ///< that of the present connection
    TimePoint unbound_until_{};
    bool agent_end_ = false;                                      ///< the agent takes it for connected
    bool server_end_ = false;                                     ///< the controller does
    Release releases_[2] = {Release::present, Release::present};  ///< of who sends in that direction
    TimePoint last_arrival_[2]{};
    std::deque<std::string> held_up_[2];
};

/// The agent's end.
class CableLink final : public bus::AgentLink {
public:
    /// `run`: calls as soon as the process does something.
    CableLink(Cable& cable, std::function<void(std::function<void()>)> run) : cable_(cable), run_(std::move(run)) {}
    ~CableLink() override { stop(); }

    void start(Handler& handler) override;
    void stop() override;
    void send(const bus::ToController& message) override;
    base::Result<void> use(const bus::Access&) override { return {}; }
    bool up() const override { return up_; }
    const std::string& name() const override { return cable_.name_; }

private:
    friend class Cable;

    Cable& cable_;
    std::function<void(std::function<void()>)> run_;
    Handler* handler_ = nullptr;
    bool up_ = false;
};

}  // namespace vitalwire::simulator

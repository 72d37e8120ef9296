#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/sources/channel_source.hpp"
#include "host/sources/libvirt/domain_tracker.hpp"
#include "host/sources/libvirt/guest_agent_calls.hpp"
#include "host/sources/libvirt/hot_plug.hpp"
#include "host/sources/libvirt/io_calls.hpp"
#include "host/sources/libvirt/libvirt_attacher.hpp"
#include "host/sources/libvirt/libvirt_session.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::host {

/// The domains of libvirt; a guest is a domain's uuid. libvirt's events are followed at once and taken for hints: each
/// makes the domain be read again, and after a connection was lost, and now and then, all are. A domain is never judged
/// by a reading that is older than its last event.
///
/// Wanted channels that a running domain lacks are attached (hot_plug.hpp).
///
/// While libvirt cannot be asked, channels stay as they are: they are QEMU's.
class LibvirtSource final : public ChannelSource, private LibvirtSession::Handler {
public:
    /// `make_asker`: how guest agents are asked; through libvirt when it is empty.
    LibvirtSource(boost::asio::io_context& io, LibvirtOptions options, GuestAgentCalls::MakeAsker make_asker = {});
    ~LibvirtSource() override;

    void start(ChannelSource::Handler& handler) override;
    /// Does not wait for libvirt, but for a moment, so that threads that can end do.
    void stop() override;
    void want(const WantedChannels& wanted) override;
    void ask(const base::GuestId& guest) override;
    void call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) override;
    bool read_io(const base::GuestId& guest, std::int64_t number) override;
    std::string name() const override { return "libvirt " + options_.uri; }

private:
    struct Domain {
        DomainTracker tracker;
        std::map<wire::ChannelKind, std::string> channels;
        std::optional<bool> guest_agent;  ///< as told
        std::uint64_t last_news = 0;      ///< number of its last event
        bool unreadable = false;
        bool job_in_vain = false;  ///< asking for its job lost a session; not asked again before the next audit
    };

    // LibvirtSession::Handler
    void on_open() override;
    void on_news(const DomainNews& news) override;
    void on_news_lost() override;
    void on_answer(const LibvirtSession::Answer& answer) override;
    void on_lost(const std::string& why) override;

    void open();
    void problem(const std::string& text);
    void ask();
    void ask_all_later();
    void watch_transfers();
    bool is_old_news(const Domain& domain) const { return domain.last_news > asked_at_; }
    void follow(Domain& domain, const DomainNews& news);
    void tell_listed();
    void take(const DomainReading& reading);
    void vanished(const base::GuestId& guest);
    void failed(const LibvirtSession::Failure& failure);
    void readable(const base::GuestId& guest, Domain& domain);
    void unreadable(const base::GuestId& guest, Domain& domain, const std::string& why);
    bool is_connected(const base::GuestId& guest, const Domain& domain) const;
    void forget_missing(const LibvirtSession::Answer& answer);
    void tell(const base::GuestId& guest, Domain& domain, const DomainTracker::Events& events);
    void tell_channels(const base::GuestId& guest, Domain& domain, const std::vector<DomainChannel>& found);
    void tell_guest_agent(const base::GuestId& guest, Domain& domain, std::optional<bool> open);
    void plug();
    void plugged(const HotPlug::Attachment& attachment, const std::string& failure);

    boost::asio::io_context& io_;
    LibvirtOptions options_;
    ChannelSource::Handler* handler_ = nullptr;
    std::shared_ptr<LibvirtThreads> threads_;
    std::unique_ptr<LibvirtSession> session_;
    runtime::Timer reopen_;
    runtime::Timer audit_;
    runtime::Timer transfers_;

    std::map<base::GuestId, Domain> domains_;
    std::set<base::GuestId> changed_;        ///< to be read
    std::set<base::GuestId> asked_about_;    ///< or told as unread: that it has ended is reported in any case
    bool all_changed_ = false;               ///< everything is to be read
    std::uint64_t news_ = 0;                 ///< events so far
    std::uint64_t asked_at_ = 0;             ///< events when the question that is out was asked
    std::vector<base::GuestId> asked_jobs_;  ///< of the question that is out
    bool read_all_ = false;                  ///< since the session was opened
    bool listed_ = false;
    std::string problem_;

    HotPlug hot_plug_;
    std::unique_ptr<LibvirtAttacher> attacher_;
    GuestAgentCalls::MakeAsker make_asker_;
    std::unique_ptr<GuestAgentCalls> guest_agent_calls_;
    std::unique_ptr<IoCalls> io_calls_;
    runtime::Timer plug_later_;
    std::set<base::GuestId> unattachable_;  ///< as told
};

}  // namespace vitalwire::host

#include "host/sources/libvirt/domain_xml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vitalwire::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using wire::ChannelKind;

std::string channel(const std::string& name, const std::string& source, const std::string& type = "unix") {
    return "<channel type='" + type + "'>" + source + "<target type='virtio' name='" + name +
           "' state='connected'/></channel>";
}

std::string bound(const std::string& path) {
    return "<source mode='bind' path='" + path + "'/>";
}

std::string domain(const std::string& devices) {
    return "<domain type='qemu' id='3'><name>web</name><metadata><n:instance xmlns:n='urn:nova'><channel "
           "type='unix'/></n:instance></metadata><devices>" +
           devices + "</devices></domain>";
}

base::Result<std::vector<DomainChannel>> channels_of(const std::string& xml) {
    return ports_of(xml).map([](const DomainPorts& ports) { return ports.channels; });
}

TEST(DomainXml, NamesTheSocketOfEachChannelOfOurs) {
    const auto channels = channels_of(
        domain(channel("org.vitalwire.0", bound("/run/a")) + channel("org.qemu.guest_agent.0", bound("/run/b")) +
               channel("cgcs.heartbeat", bound("/run/c")) + channel("cgcs.messaging", bound("/run/d &amp; e"))));
    ASSERT_TRUE(channels);
    EXPECT_THAT(*channels, ElementsAre(DomainChannel{ChannelKind::native, "/run/a"},
                                       DomainChannel{ChannelKind::cgcs_heartbeat, "/run/c"},
                                       DomainChannel{ChannelKind::cgcs_messaging, "/run/d & e"}));
}

TEST(DomainXml, TellsWhetherAGuestAgentHasLibvirtsPortOpen) {
    const std::string port = channel("org.qemu.guest_agent.0", bound("/run/b"));
    EXPECT_EQ(ports_of(domain(port))->guest_agent, true);
    EXPECT_EQ(ports_of(domain("<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' "
                              "state='disconnected'/></channel>"))
                  ->guest_agent,
              false);
    EXPECT_EQ(ports_of(domain(channel("org.vitalwire.0", bound("/run/a"))))->guest_agent, std::nullopt);
}

TEST(DomainXml, APortOfOursForAGuestAgentIsAChannel) {
    EXPECT_THAT(*channels_of(domain(channel("org.vitalwire.qga.0", bound("/run/a")))),
                ElementsAre(DomainChannel{ChannelKind::guest_agent, "/run/a"}));
}

TEST(DomainXml, LeavesOutWhatNobodyListensAt) {
    for (const std::string& other :
         {channel("org.vitalwire.0", ""),                                         // the domain does not run
          channel("org.vitalwire.0", "<source mode='bind'/>"),                    // no path yet
          channel("org.vitalwire.0", bound("relative")),                          //
          channel("org.vitalwire.0", "<source mode='connect' path='/run/a'/>"),   // QEMU is the client
          channel("org.vitalwire.0", "", "spicevmc"),                             // no socket
          channel("org.vitalwire.01", bound("/run/a")),                           // another name
          std::string("<channel type='unix'>" + bound("/run/a") + "</channel>"),  // no target
          std::string("<serial type='unix'>" + bound("/run/a") + "</serial>"),    // another device
          std::string("<channel type='unix'>" + bound("/run/a") +                 // no virtio port
                      "<target type='guestfwd' name='org.vitalwire.0'/></channel>"),
          std::string("<x:channel xmlns:x='urn:x' type='unix'>" + bound("/run/a") +  // not libvirt's element
                      "<target type='virtio' name='org.vitalwire.0'/></x:channel>")})
        EXPECT_THAT(*channels_of(domain(other)), IsEmpty()) << other;
}

TEST(DomainXml, TakesTheFirstOfTwoChannelsOfOneName) {
    const auto channels =
        channels_of(domain(channel("org.vitalwire.0", bound("/run/a")) + channel("org.vitalwire.0", bound("/run/b"))));
    EXPECT_THAT(*channels, ElementsAre(DomainChannel{ChannelKind::native, "/run/a"}));
}

TEST(DomainXml, SaysWhichNamesAreTakenWhateverIsBehindThem) {
    const auto ports = ports_of(domain(channel("org.vitalwire.0", "", "spicevmc") +
                                       channel("cgcs.heartbeat", bound("/run/a")) + channel("else", bound("/run/b"))));
    EXPECT_THAT(ports->taken, ElementsAre(ChannelKind::native, ChannelKind::cgcs_heartbeat));
    EXPECT_THAT(ports->channels, ElementsAre(DomainChannel{ChannelKind::cgcs_heartbeat, "/run/a"}));
}

TEST(DomainXml, SaysWhetherPortsCanBeAdded) {
    EXPECT_TRUE(ports_of(domain("<controller type='usb'/><controller type='virtio-serial' index='0'/>"))->controller);
    EXPECT_FALSE(ports_of(domain("<controller type='usb'/>"))->controller);
    EXPECT_FALSE(ports_of(domain("<x:controller xmlns:x='urn:x' type='virtio-serial'/>"))->controller);
}

TEST(DomainXml, ADeviceToAttachIsAChannelOnceItHasAPath) {
    std::string device = channel_xml(ChannelKind::cgcs_messaging);
    EXPECT_THAT(*channels_of(domain(device)), IsEmpty());
    device.replace(device.find("mode='bind'"), 11, "mode='bind' path='/run/a'");
    EXPECT_THAT(*channels_of(domain(device)), ElementsAre(DomainChannel{ChannelKind::cgcs_messaging, "/run/a"}));
}

TEST(DomainXml, ADomainWithoutDevicesHasNoChannels) {
    EXPECT_THAT(*channels_of("<domain/>"), IsEmpty());
}

TEST(DomainXml, RefusesWhatIsNoDomain) {
    for (const std::string& text :
         {std::string(), std::string("<domain>"), std::string("<network/>"), std::string("text"),
          std::string("<domain xmlns='urn:x'/>"), std::string("\0<domain/>", 10)})
        EXPECT_FALSE(channels_of(text)) << text;
}

TEST(DomainXml, RefusesADocumentWithADtd) {
    const std::string body = domain(channel("org.vitalwire.0", "<source mode='bind' path='&p;'/>"));
    EXPECT_FALSE(channels_of("<!DOCTYPE domain [<!ENTITY p '/run/a'>]>" + body));
    EXPECT_FALSE(channels_of("<!DOCTYPE domain [<!ENTITY p SYSTEM 'file:///etc/hostname'>]>" + body));
}

TEST(DomainXml, RefusesADocumentThatIsTooLong) {
    const std::string filler(std::size_t{4} << 20U, ' ');
    EXPECT_TRUE(channels_of("<domain>" + filler.substr(100) + "</domain>"));
    EXPECT_FALSE(channels_of("<domain>" + filler + "</domain>"));
}

}  // namespace
}  // namespace vitalwire::host

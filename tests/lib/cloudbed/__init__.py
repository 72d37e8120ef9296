"""A real OpenStack cloud for the tests: Debian's packages on loopback, nothing left behind.

cloud      Cloud: brings everything up and down; what a test holds
services   one process: start, wait until it is ready, stop
settings   the configuration files
programs   how Debian's programs are started
infrastructure  MariaDB and RabbitMQ
control    Keystone, Placement, Glance, Nova
compute    one compute node: libvirtd and nova-compute in namespaces of their own
remote/    ssh and scp between the compute nodes
vitrage    Vitrage with the project's datasource
aodh       Aodh, and the part of Ceilometer that brings it Nova's notifications
masakari   Masakari: its API and its engine
client     a small OpenStack client: tokens, requests, servers, images, alarms
testcase   the base of the tests: servers, and the logs on a failure
account    how a controller gets into the cloud
controller vitalwire-controller with the inventory of a cloud
front      a load balancer before a service, which can refuse
two_nodes  the base of tests with real guests on one or two compute nodes
nova_events  what Nova notifies of
vnf        guests with vitalwired that tell on their console what they hear
receiver   the VNF manager: an HTTP server that keeps what it is told
networks   what Nova asks of Neutron for a server without networks
"""

package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"holdfast.local/node/files"
	"holdfast.local/node/plan"
)

// prepareHost makes the container a machine that containerd and the kubelet can work on.
func prepareHost(ctx context.Context) error {
	// Mounts must propagate into pods that ask for it, which a container's root does not by default.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share the mounts below / (does the container have CAP_SYS_ADMIN?): %w", err)
	}
	if err := unix.Mount("", "/sys", "", unix.MS_REMOUNT|unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("make /sys writable: %w", err)
	}
	if err := mountCgroups(); err != nil {
		return err
	}
	if err := writeMachineID("/etc/machine-id"); err != nil {
		return err
	}
	if err := clearStaleState(); err != nil {
		return err
	}
	return keepPacketsIn(ctx)
}

// writeMachineID gives the node an identity: an image has none, and the kubelet reports it.
func writeMachineID(path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return fmt.Errorf("make a machine id: %w", err)
	}
	return files.Write(path, []byte(strings.ReplaceAll(string(id), "-", "")), 0o444)
}

// clearStaleState removes what a killed node leaves behind. The container starts with new mounts and a new network,
// so no container, no network namespace and no pod address of the run before can still be in use.
func clearStaleState() error {
	for _, path := range []string{
		plan.ContainerdState, "/run/netns", filepath.Dir(plan.EtcdSocket),
		filepath.Join(plan.CNIState, "networks"), filepath.Join(plan.CNIState, "results"),
	} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove what the last run left: %w", err)
		}
	}
	return nil
}

// keepPacketsIn refuses what has a Service's or a pod's address and no rule or route yet, and hides pods from what is not
// of the cluster, where nobody would find the way back to them.
//
// Before kube-proxy has a rule such a packet would leave through the default gateway, and something there may answer:
// one such connection stayed open and broke the metrics API for good. kube-proxy rewrites the address before these
// rules see it, and a pod's own route is more specific than the blackhole.
func keepPacketsIn(ctx context.Context) error {
	for _, rule := range [][]string{
		{"filter", "OUTPUT", "-d", plan.ServiceCIDR, "-j", "REJECT"},
		{"filter", "FORWARD", "-d", plan.ServiceCIDR, "-j", "REJECT"},
		{"nat", "POSTROUTING", "-s", plan.PodCIDR, "!", "-d", plan.PodCIDR, "-j", "MASQUERADE"},
	} {
		table, rule := []string{"-w", "-t", rule[0]}, rule[1:]
		if run(ctx, "iptables", slices.Concat(table, []string{"-C"}, rule)...) == nil {
			continue
		}
		if err := run(ctx, "iptables", slices.Concat(table, []string{"-I"}, rule)...); err != nil {
			return fmt.Errorf("keep packets inside: %w", err)
		}
	}
	if err := run(ctx, "ip", "route", "replace", "blackhole", plan.PodCIDR); err != nil {
		return fmt.Errorf("keep packets to pods inside: %w", err)
	}
	return nil
}

// run runs a short command; its error holds what the command said.
func run(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// nodeIP is the address by which other machines of the container's network reach this one.
func nodeIP() (string, error) {
	// Connecting a UDP socket sends nothing: the kernel only chooses the address that the default route would use.
	if connection, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		ip := connection.LocalAddr().(*net.UDPAddr).IP
		return ip.String(), connection.Close()
	}
	// An internal network has no default route.
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list this machine's addresses: %w", err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String(), nil
		}
	}
	return "", errors.New("this machine has no IPv4 address but the loopback's: connect the container to a network")
}

// bridgeFiltered says whether the kernel hands a bridge's packets to iptables (module br_netfilter).
func bridgeFiltered() bool {
	value, err := os.ReadFile("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err == nil && strings.TrimSpace(string(value)) == "1"
}

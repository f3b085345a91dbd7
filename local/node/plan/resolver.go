package plan

import (
	"net"
	"strings"
)

// maxNameServers is how many servers a resolver reads; the kubelet warns of more on every pod.
const maxNameServers = 3

// NameServers finds the servers of a resolv.conf that a pod can reach.
//
// A loopback address is another one inside of a pod. On a network of the user's Docker puts its own 127.0.0.11 there
// and, in newer versions, names the servers behind it in a comment: `# ExtServers: [192.168.1.1 host(127.0.0.53)]`.
func NameServers(resolvConf string) []string {
	var direct, behindDocker []string
	for line := range strings.Lines(resolvConf) {
		line = strings.TrimSpace(line)
		if list, found := strings.CutPrefix(line, "# ExtServers:"); found {
			behindDocker = append(behindDocker, reachable(dockerServers(list))...)
		} else if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "nameserver" {
			direct = append(direct, reachable(fields[1:2])...)
		}
	}
	servers := direct
	if len(servers) == 0 {
		servers = behindDocker
	}
	return servers[:min(len(servers), maxNameServers)]
}

func dockerServers(list string) []string {
	fields := strings.Fields(strings.Trim(strings.TrimSpace(list), "[]"))
	for i, field := range fields {
		fields[i] = strings.TrimSuffix(strings.TrimPrefix(field, "host("), ")")
	}
	return fields
}

func reachable(addresses []string) []string {
	var kept []string
	for _, address := range addresses {
		bare, _, _ := strings.Cut(address, "%") // an IPv6 zone names an interface that a pod does not have
		if ip := net.ParseIP(bare); ip != nil && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsLinkLocalUnicast() {
			kept = append(kept, address)
		}
	}
	return kept
}

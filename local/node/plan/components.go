package plan

import (
	"net"
	"strings"
)

// Node is what the components need to know of the machine and the caller's options.
type Node struct {
	Name string
	IP   string
	Options
	// BridgeFiltered says whether packets between two pods of the node's bridge pass iptables (br_netfilter).
	BridgeFiltered bool
}

// Component is a program that the supervisor runs.
type Component struct {
	Name string
	Args []string
}

// isAgent says whether the API server is on another machine.
func (n Node) isAgent() bool { return n.Role == Agent }

// Authority is the file with the cluster's certificate authority.
func (n Node) Authority() string {
	if n.isAgent() {
		return AgentAuthority
	}
	return Certificate("ca")
}

// credentialOf is what a component of the node signs in with. An agent has one identity: the proxy reads what every node
// may read.
func (n Node) credentialOf(component string) string {
	if n.isAgent() {
		return NodeCredential
	}
	return Credential(component)
}

func (n Node) component(name string, flags ...Flag) Component {
	return Component{Name: name, Args: commandLine(flags, n.Extra[name])}
}

// commandLine puts the caller's flags in the place of the node's flags of the same name. The caller may repeat one.
func commandLine(ours, users []Flag) []string {
	overridden := map[string]bool{}
	for _, f := range users {
		overridden[f.Name] = true
	}
	var args []string
	for _, f := range ours {
		if !overridden[f.Name] {
			args = append(args, "--"+f.Name+"="+f.Value)
		}
	}
	for _, f := range users {
		args = append(args, "--"+f.Name+"="+f.Value)
	}
	return args
}

// Containerd runs the containers.
func (n Node) Containerd() Component {
	return n.component("containerd", Flag{"config", ContainerdConfig})
}

// Etcd holds the cluster's state. It listens on socket files: a TCP port would be open, without any
// authentication, to every pod in the host's network.
func (n Node) Etcd() Component {
	flags := []Flag{
		{"name", "default"},
		{"data-dir", EtcdData},
		{"listen-client-urls", "unix://" + EtcdSocket},
		{"listen-peer-urls", "unix://" + EtcdPeerSocket},
		// etcd insists on addresses to tell others; nothing listens there, and there are no others.
		{"advertise-client-urls", "http://127.0.0.1:2379"},
		{"initial-advertise-peer-urls", "http://127.0.0.1:2380"},
		{"initial-cluster", "default=http://127.0.0.1:2380"},
		// A member without others still waits an election's time before it leads, by default a second of every start.
		{"heartbeat-interval", "20"},
		{"election-timeout", "100"},
		{"log-level", "warn"},
	}
	if n.UnsafeNoFsync {
		flags = append(flags, Flag{"unsafe-no-fsync", "true"})
	}
	return n.component("etcd", flags...)
}

// APIServer is the cluster's front door.
func (n Node) APIServer() Component {
	return n.component("kube-apiserver",
		Flag{"advertise-address", n.IP},
		Flag{"secure-port", "6443"},
		Flag{"etcd-servers", "unix://" + EtcdSocket},
		Flag{"allow-privileged", "true"},
		Flag{"anonymous-auth", "false"},
		Flag{"authorization-mode", "Node,RBAC"},
		Flag{"client-ca-file", Certificate("ca")},
		Flag{"enable-admission-plugins", "NodeRestriction"},
		Flag{"enable-aggregator-routing", "false"},
		// Other nodes join with such a token.
		Flag{"enable-bootstrap-token-auth", "true"},
		// There is one API server, and its address may change with a restart: this reconciler replaces the old
		// address at once, where the default one leaves it among the endpoints until its lease ends.
		Flag{"endpoint-reconciler-type", "master-count"},
		Flag{"kubelet-certificate-authority", Certificate("ca")},
		Flag{"kubelet-client-certificate", Certificate("apiserver-kubelet-client")},
		Flag{"kubelet-client-key", Key("apiserver-kubelet-client")},
		Flag{"kubelet-preferred-address-types", "InternalIP"},
		Flag{"profiling", "false"},
		Flag{"proxy-client-cert-file", Certificate("front-proxy-client")},
		Flag{"proxy-client-key-file", Key("front-proxy-client")},
		Flag{"requestheader-allowed-names", "front-proxy-client"},
		Flag{"requestheader-client-ca-file", Certificate("front-proxy-ca")},
		Flag{"requestheader-extra-headers-prefix", "X-Remote-Extra-"},
		Flag{"requestheader-group-headers", "X-Remote-Group"},
		Flag{"requestheader-username-headers", "X-Remote-User"},
		Flag{"service-account-issuer", "https://kubernetes.default.svc." + ClusterDomain},
		Flag{"service-account-key-file", Key("service-account")},
		Flag{"service-account-signing-key-file", Key("service-account")},
		Flag{"service-cluster-ip-range", ServiceCIDR},
		Flag{"tls-cert-file", Certificate("apiserver")},
		Flag{"tls-private-key-file", Key("apiserver")},
	)
}

// ControllerManager runs the controllers. The HPA's period and the like are left to the caller's flags.
func (n Node) ControllerManager() Component {
	return n.component("kube-controller-manager", append(localServer("kube-controller-manager"),
		Flag{"allocate-node-cidrs", "true"},
		Flag{"cluster-cidr", PodCIDR},
		Flag{"cluster-signing-cert-file", Certificate("ca")},
		Flag{"cluster-signing-key-file", Key("ca")},
		// The second is off by default. It removes the tokens that nodes were to join with, once they have run out.
		Flag{"controllers", "*,token-cleaner-controller"},
		// The default of 20 requests a second delays each start by three seconds: forty controllers ask for a token each.
		Flag{"kube-api-burst", "400"},
		Flag{"kube-api-qps", "200"},
		Flag{"requestheader-client-ca-file", Certificate("front-proxy-ca")},
		Flag{"root-ca-file", Certificate("ca")},
		Flag{"service-account-private-key-file", Key("service-account")},
		Flag{"service-cluster-ip-range", ServiceCIDR},
		Flag{"use-service-account-credentials", "true"},
	)...)
}

// Scheduler places pods.
func (n Node) Scheduler() Component {
	return n.component("kube-scheduler", localServer("kube-scheduler")...)
}

// localServer has the flags that the controller manager and the scheduler share. The certificate spares them the
// making of an RSA key of their own at each start.
func localServer(name string) []Flag {
	credential := Credential(name)
	return []Flag{
		{"kubeconfig", credential},
		{"authentication-kubeconfig", credential},
		{"authorization-kubeconfig", credential},
		{"bind-address", "127.0.0.1"},
		{"leader-elect", "false"},
		{"profiling", "false"},
		{"tls-cert-file", Certificate("localhost")},
		{"tls-private-key-file", Key("localhost")},
	}
}

// Kubelet runs the pods. An agent's asks the cluster for its certificates, and keeps them.
func (n Node) Kubelet() Component {
	flags := []Flag{
		{"config", KubeletConfig},
		{"hostname-override", n.Name},
		{"kubeconfig", n.credentialOf("kubelet")},
		{"node-ip", n.IP},
	}
	if n.isAgent() {
		flags = append(flags, Flag{"bootstrap-kubeconfig", JoinCredential}, Flag{"cert-dir", AgentPKI})
	}
	return n.component("kubelet", flags...)
}

// Proxy serves Service addresses. The zeros leave the connection table's size and timeouts as they are: they are the
// machine's, and a container may not change them.
func (n Node) Proxy() Component {
	flags := []Flag{
		{"cluster-cidr", PodCIDR},
		{"conntrack-max-per-core", "0"},
		{"conntrack-tcp-timeout-close-wait", "0"},
		{"conntrack-tcp-timeout-established", "0"},
		{"hostname-override", n.Name},
		{"kubeconfig", n.credentialOf("kube-proxy")},
		{"profiling", "false"},
		{"proxy-mode", "iptables"},
	}
	if !n.BridgeFiltered {
		// Without br_netfilter a pod's answer to a neighbour skips the bridge's iptables, so it would keep the pod's
		// address where the Service's is expected. From the node's address it comes back through iptables.
		flags = append(flags, Flag{"masquerade-all", "true"})
	}
	return n.component("kube-proxy", flags...)
}

// ServingNames are the names and addresses that the API server's certificate is good for.
func (n Node) ServingNames() (names []string, addresses []net.IP) {
	return SplitNames(append([]string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + ClusterDomain, n.Name,
		"127.0.0.1", "::1", n.IP, APIServiceIP,
	}, n.TLSSANs...))
}

// SplitNames sorts host names from addresses, without repeats.
func SplitNames(all []string) (names []string, addresses []net.IP) {
	seen := map[string]bool{}
	for _, name := range all {
		name = strings.ToLower(name)
		if seen[name] {
			continue
		}
		seen[name] = true
		if ip := net.ParseIP(name); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, name)
		}
	}
	return names, addresses
}

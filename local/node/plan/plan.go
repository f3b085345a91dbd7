// Package plan decides what a node runs: it turns flags and facts about the machine into command lines and files.
//
// Everything here is a pure function of its arguments and imports nothing of Kubernetes, so its tests take milliseconds.
// Package supervise carries the plan out.
package plan

import "path"

// Addresses that k3s uses too, so that a manifest or a test that names one works on both.
const (
	ServiceCIDR   = "10.43.0.0/16"
	PodCIDR       = "10.42.0.0/16"
	APIServiceIP  = "10.43.0.1"
	DNSServiceIP  = "10.43.0.10"
	ClusterDomain = "cluster.local"
	// LocalAPI is where the server's own components find the API server: it stays right when the node's address changes.
	LocalAPI = "https://127.0.0.1:6443"

	// unansweredIP is a Service address of the range that Kubernetes keeps for static claims, and that nobody claims.
	// The node's firewall refuses packets to it at once. See ResolverFile.
	unansweredIP = "10.43.0.2"
)

// Paths of the k3s contract, and of the node's own files. What must outlive the container is below Data, a volume.
const (
	Data         = "/var/lib/rancher/k3s"
	Kubeconfig   = "/etc/rancher/k3s/k3s.yaml"
	Registries   = "/etc/rancher/k3s/registries.yaml"
	Storage      = Data + "/storage"
	TLS          = Data + "/server/tls"
	Credentials  = Data + "/server/cred"
	EtcdData     = Data + "/server/db/etcd"
	NodeNameFile = Data + "/server/node-name"

	// What an agent keeps of its cluster: the authority that it trusts, and its own identity.
	AgentPKI       = Data + "/agent/pki"
	AgentAuthority = AgentPKI + "/ca.crt"
	NodeCredential = Data + "/agent/node.kubeconfig"
	// JoinCredential is what an agent asks for its identity with. It lies outside of the volumes.
	JoinCredential = "/etc/kubernetes/join.kubeconfig"

	UserManifests = Data + "/server/manifests"
	UserImages    = Data + "/agent/images"
	ImageRecord   = Data + "/agent/imported-images.json"

	// The baked files are outside of Data, since a volume there hides what an image has.
	BakedManifests = "/opt/node/manifests"
	BakedImages    = "/opt/node/images"

	ContainerdData   = Data + "/agent/containerd"
	ContainerdState  = "/run/containerd"
	ContainerdSocket = ContainerdState + "/containerd.sock"
	ContainerdConfig = "/etc/containerd/config.toml"
	RegistryHosts    = "/etc/containerd/certs.d"
	EtcdSocket       = "/run/etcd/client.sock"
	EtcdPeerSocket   = "/run/etcd/peer.sock"

	KubeletConfig = "/etc/kubernetes/kubelet.yaml"
	ResolvConf    = "/etc/kubernetes/resolv.conf"
	CNIConfig     = "/etc/cni/net.d/10-bridge.conflist"
	CNIState      = "/var/lib/cni"
	Logs          = "/var/log/kube"
	PauseImage    = "docker.io/holdfast/pause:1"
)

// Certificate is the path of a certificate in the cluster's PKI.
func Certificate(name string) string { return path.Join(TLS, name+".crt") }

// Key is the path of a private key in the cluster's PKI.
func Key(name string) string { return path.Join(TLS, name+".key") }

// Credential is the path of the kubeconfig that a component signs in with.
func Credential(name string) string { return path.Join(Credentials, name+".kubeconfig") }

package plan

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// object is a piece of YAML or JSON. Files are written by an encoder, never glued together from strings.
type object = map[string]any

// AdminKubeconfig is the kubeconfig for people, with k3s's names and with the credential inside, since it is copied away.
func AdminKubeconfig(ca, certificate, key []byte) ([]byte, error) {
	return kubeconfig(
		object{"server": LocalAPI, "certificate-authority-data": encode(ca)},
		object{"client-certificate-data": encode(certificate), "client-key-data": encode(key)},
	)
}

// ComponentKubeconfig is the kubeconfig of a component. Its certificate stays in the PKI's folder.
func ComponentKubeconfig(certificate string) ([]byte, error) {
	return kubeconfig(
		object{"server": LocalAPI, "certificate-authority": Certificate("ca")},
		object{"client-certificate": Certificate(certificate), "client-key": Key(certificate)},
	)
}

// JoinKubeconfig is what an agent's kubelet asks for its first certificate with. The kubelet copies the server from it.
func (n Node) JoinKubeconfig(token JoinToken) ([]byte, error) {
	return kubeconfig(
		object{"server": n.ServerURL, "certificate-authority": n.Authority()},
		object{"token": token.Bearer},
	)
}

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func kubeconfig(cluster, user object) ([]byte, error) {
	const name = "default"
	return yaml.Marshal(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        []any{object{"name": name, "cluster": cluster}},
		"users":           []any{object{"name": name, "user": user}},
		"contexts":        []any{object{"name": name, "context": object{"cluster": name, "user": name}}},
		"current-context": name,
	})
}

// KubeletConfiguration is the kubelet's configuration file.
func (n Node) KubeletConfiguration() ([]byte, error) {
	configuration := object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": n.Authority()},
		},
		"authorization":            object{"mode": "Webhook"},
		"containerRuntimeEndpoint": "unix://" + ContainerdSocket,
		"clusterDNS":               []string{DNSServiceIP},
		"clusterDomain":            ClusterDomain,
		"resolvConf":               ResolvConf,
		"cgroupDriver":             "cgroupfs",
		// The supervisor gives the node a cgroup namespace of its own, so the root is the container's cgroup.
		"cgroupRoot":             "/",
		"enforceNodeAllocatable": []string{},
		"failCgroupV1":           false,
		"failSwapOn":             false,
		"serializeImagePulls":    false,
		// What the node has, every pod may use. Else an imported image that is also pulled by another name must be
		// pulled by its own name too, which fails where there is no registry.
		"imagePullCredentialsVerificationPolicy": "NeverVerify",
		"maxPods":                                110,
		// One pod that forks without end must not take every process of the laptop.
		"podPidsLimit": 4096,
		// The disk is the laptop's, mostly full of other things: its fill level is no reason to delete images or to evict.
		"imageGCHighThresholdPercent": 100,
		"evictionHard": object{
			"memory.available": "100Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
		},
	}
	if n.isAgent() {
		configuration["rotateCertificates"] = true
		configuration["serverTLSBootstrap"] = true
	} else {
		configuration["tlsCertFile"] = Certificate("kubelet-server")
		configuration["tlsPrivateKeyFile"] = Key("kubelet-server")
	}
	return yaml.Marshal(configuration)
}

// ContainerdConfiguration is containerd's configuration file (version 2: Debian trixie has containerd 1.7).
//
// restrict_oom_score_adj is for machines where even root may not lower a process's score (no CAP_SYS_RESOURCE).
func ContainerdConfiguration() string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %q

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`, ContainerdData, ContainerdState, ContainerdSocket, PauseImage, RegistryHosts)
}

// CNIConfiguration connects the node's pods by a bridge, with addresses from the range that the node was given. The
// bridge hides no address: pods of another node are to see a pod's own. See keepPacketsIn for those beyond.
func CNIConfiguration(podCIDR string) ([]byte, error) {
	return json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       "cbr0",
		"plugins": []any{
			object{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
				"ipam": object{
					"type":   "host-local",
					"ranges": []any{[]any{object{"subnet": podCIDR}}},
					"routes": []any{object{"dst": "0.0.0.0/0"}},
				},
			},
			object{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
}

// ResolverFile is the resolv.conf for pods. Without any name server it names an address that refuses at once, so that
// CoreDNS, which does not start without one, serves the cluster's names and fails all others quickly.
func ResolverFile(servers []string) string {
	if len(servers) == 0 {
		return "# No name server of this machine can be reached from a pod: names outside of the cluster do not resolve.\n" +
			"nameserver " + unansweredIP + "\n"
	}
	return "nameserver " + strings.Join(servers, "\nnameserver ") + "\n"
}

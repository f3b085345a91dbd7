package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"holdfast.local/node/files"
	"holdfast.local/node/pki"
	"holdfast.local/node/plan"
)

// chooseNodeName finds the node's name. The data of an earlier run belong to a name: its volumes, the pods bound to
// them and the Node object. So a new container on old volumes keeps it, though Docker gave it another host name.
func chooseNodeName(asked, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	kept := strings.TrimSpace(string(data))
	if kept != "" {
		if asked != "" && asked != kept {
			return "", fmt.Errorf("the data in %s belong to the node %q, not to %q: keep the name, or begin with empty volumes", plan.Data, kept, asked)
		}
		return kept, nil
	}
	if asked == "" {
		if asked, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("read the host name: %w", err)
		}
	}
	asked = strings.ToLower(asked)
	if err := plan.CheckNodeName(asked); err != nil {
		return "", fmt.Errorf("the host name: %w; give another one with --node-name", err)
	}
	return asked, files.Write(path, []byte(asked+"\n"), 0o644)
}

// writeCredentials makes the cluster's PKI and every kubeconfig.
func writeCredentials(node plan.Node) error {
	cluster, err := pki.OpenAuthority(plan.TLS, "ca")
	if err != nil {
		return err
	}
	frontProxy, err := pki.OpenAuthority(plan.TLS, "front-proxy-ca")
	if err != nil {
		return err
	}
	if _, err := pki.OpenKey(plan.Key("service-account")); err != nil {
		return err
	}
	if _, err := frontProxy.Issue(pki.Leaf{File: "front-proxy-client", CommonName: "front-proxy-client"}); err != nil {
		return err
	}
	if err := issueServers(cluster, node); err != nil {
		return err
	}
	if _, err := cluster.Issue(pki.Leaf{File: "apiserver-kubelet-client", CommonName: "kube-apiserver-kubelet-client"}); err != nil {
		return err
	}
	if err := issueComponents(cluster, node); err != nil {
		return err
	}
	return issueAdmin(cluster, node)
}

func issueServers(authority *pki.Authority, node plan.Node) error {
	names, addresses := node.ServingNames()
	for _, leaf := range []pki.Leaf{
		{File: "apiserver", CommonName: "kube-apiserver", Names: names, Addresses: addresses, WithAuthority: true},
		{File: "kubelet-server", CommonName: node.Name, Names: []string{node.Name}, Addresses: []net.IP{net.ParseIP(node.IP)}},
		{File: "localhost", CommonName: "localhost", Names: []string{"localhost"}, Addresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
	} {
		if _, err := authority.Issue(leaf); err != nil {
			return err
		}
	}
	return nil
}

// issueComponents gives each component the user name that Kubernetes' own roles are bound to, and no more.
func issueComponents(authority *pki.Authority, node plan.Node) error {
	for _, leaf := range []pki.Leaf{
		{File: "kube-controller-manager", CommonName: "system:kube-controller-manager"},
		{File: "kube-scheduler", CommonName: "system:kube-scheduler"},
		{File: "kube-proxy", CommonName: "system:kube-proxy"},
		{File: "kubelet", CommonName: "system:node:" + node.Name, Organizations: []string{"system:nodes"}},
	} {
		if _, err := authority.Issue(leaf); err != nil {
			return err
		}
		kubeconfig, err := plan.ComponentKubeconfig(leaf.File)
		if err != nil {
			return fmt.Errorf("make the kubeconfig of %s: %w", leaf.File, err)
		}
		if err := files.Write(plan.Credential(leaf.File), kubeconfig, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func issueAdmin(authority *pki.Authority, node plan.Node) error {
	admin, err := authority.Issue(pki.Leaf{File: "admin", CommonName: "system:admin", Organizations: []string{"system:masters"}})
	if err != nil {
		return err
	}
	kubeconfig, err := plan.AdminKubeconfig(authority.PEM(), admin.Certificate, admin.Key)
	if err != nil {
		return fmt.Errorf("make the kubeconfig: %w", err)
	}
	return files.Write(plan.Kubeconfig, kubeconfig, node.KubeconfigMode)
}

// writeConfiguration writes the files that the components read.
func writeConfiguration(node plan.Node) error {
	kubelet, err := node.KubeletConfiguration()
	if err != nil {
		return fmt.Errorf("make the kubelet's configuration: %w", err)
	}
	resolver, err := resolverFile(node)
	if err != nil {
		return err
	}
	// etcd refuses a folder that others may read; and a socket's folder must be there before it.
	for _, folder := range []string{plan.EtcdData, filepath.Dir(plan.EtcdSocket)} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make a folder of etcd: %w", err)
		}
	}
	return errors.Join(
		files.Write(plan.KubeletConfig, kubelet, 0o600),
		files.Write(plan.ContainerdConfig, []byte(plan.ContainerdConfiguration()), 0o644),
		files.Write(plan.ResolvConf, []byte(resolver), 0o644),
		writeRegistryHosts(plan.Registries, plan.RegistryHosts),
	)
}

func resolverFile(node plan.Node) (string, error) {
	source := node.ResolvConf
	if source == "" {
		source = "/etc/resolv.conf"
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return "", fmt.Errorf("read the name servers: %w", err)
	}
	servers := plan.NameServers(string(content))
	if len(servers) == 0 {
		say("%s names no server that a pod can reach: only names of the cluster will resolve (give one with --resolv-conf)", source)
	}
	return plan.ResolverFile(servers), nil
}

// writeRegistryHosts replaces containerd's mirrors by those of registries.yaml, if there is one.
func writeRegistryHosts(registries, folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("remove the registry mirrors of the last start: %w", err)
	}
	content, err := os.ReadFile(registries)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the registry mirrors: %w", err)
	}
	hosts, notes, err := plan.RegistryHostFiles(content)
	if err != nil {
		return fmt.Errorf("%s: %w", registries, err)
	}
	for _, note := range notes {
		say("%s: %s", registries, note)
	}
	for host, file := range hosts {
		if err := files.Write(filepath.Join(folder, host, "hosts.toml"), []byte(file), 0o644); err != nil {
			return err
		}
	}
	return nil
}

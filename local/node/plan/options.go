package plan

import (
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Role is what a node is in its cluster: the machine that has the API server and the cluster's state, or one more
// machine for pods.
type Role string

// The two roles, by the words of k3s's command line.
const (
	Server Role = "server"
	Agent  Role = "agent"
)

// Options are what the caller asked for.
type Options struct {
	Role Role
	// ServerURL is where an agent finds the API server, and TokenFile what it joins with.
	ServerURL string
	TokenFile string

	NodeName       string
	TLSSANs        []string
	Disabled       []string
	ResolvConf     string
	KubeconfigMode fs.FileMode
	UnsafeNoFsync  bool
	// Extra holds the caller's own flags for each component; they override the node's flags of the same name.
	Extra map[string][]Flag
	// Notes are sentences for the log: what was asked for and has no effect here.
	Notes []string
}

// Flag is one flag of a component.
type Flag struct{ Name, Value string }

// The add-ons that the node brings, and those of k3s that it does not have, so that disabling them is already true.
var (
	addOns       = []string{"coredns", "local-storage"}
	absentAddOns = []string{"traefik", "servicelb", "metrics-server"}
)

var flagName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// ParseOptions reads the arguments that follow the role, and k3s's environment variables; a flag wins over a variable.
func ParseOptions(role Role, args []string, getenv func(string) string) (Options, error) {
	o := Options{
		Role:           role,
		NodeName:       getenv("K3S_NODE_NAME"),
		ResolvConf:     getenv("K3S_RESOLV_CONF"),
		KubeconfigMode: 0o600,
		Extra:          map[string][]Flag{},
		// A lost local cluster is rebuilt in seconds, and fsync on a laptop's disk costs etcd most of its time.
		// Only a crash of the machine can lose writes: after a crash of the node the kernel still holds them.
		UnsafeNoFsync: getenv("HOLDFAST_UNSAFE_NO_FSYNC") != "0",
	}
	if mode := getenv("K3S_KUBECONFIG_MODE"); mode != "" {
		if err := o.setKubeconfigMode(mode); err != nil {
			return Options{}, fmt.Errorf("environment variable K3S_KUBECONFIG_MODE: %w", err)
		}
	}
	if role == Agent {
		o.ServerURL, o.TokenFile = getenv("K3S_URL"), getenv("K3S_TOKEN_FILE")
	}
	for len(args) > 0 {
		name, value, rest, err := takeFlag(args, knownFlags[role])
		if err != nil {
			return Options{}, err
		}
		if err := o.set(name, value); err != nil {
			return Options{}, fmt.Errorf("flag --%s: %w", name, err)
		}
		args = rest
	}
	if role == Agent {
		return o, o.checkServer()
	}
	return o, nil
}

// knownFlags are the flags that each role understands. All take a value.
var knownFlags = map[Role][]string{
	Server: {
		"disable", "kube-apiserver-arg", "kube-controller-manager-arg", "kube-proxy-arg", "kube-scheduler-arg",
		"kubelet-arg", "node-name", "resolv-conf", "tls-san", "write-kubeconfig-mode",
	},
	Agent: {"kube-proxy-arg", "kubelet-arg", "node-name", "resolv-conf", "server", "token-file"},
}

// takeFlag splits the first flag off: `--name=value` or `--name value`.
func takeFlag(args, known []string) (name, value string, rest []string, err error) {
	word := args[0]
	if !strings.HasPrefix(word, "--") || word == "--" {
		return "", "", nil, fmt.Errorf("%q is not a flag: a node takes flags only, such as --node-name=NAME", word)
	}
	name, value, hasValue := strings.Cut(word[2:], "=")
	if !slices.Contains(known, name) {
		return "", "", nil, fmt.Errorf("unknown flag --%s: this node knows --%s", name, strings.Join(known, ", --"))
	}
	if hasValue {
		return name, value, args[1:], nil
	}
	if len(args) < 2 {
		return "", "", nil, fmt.Errorf("flag --%s needs a value", name)
	}
	return name, args[1], args[2:], nil
}

func (o *Options) set(name, value string) error {
	if value == "" {
		return fmt.Errorf("the value is empty")
	}
	switch name {
	case "node-name":
		o.NodeName = value
		return CheckNodeName(value)
	case "resolv-conf":
		o.ResolvConf = value
	case "server":
		o.ServerURL = value
	case "token-file":
		o.TokenFile = value
	case "tls-san":
		// testcontainers joins a container's aliases with commas.
		o.TLSSANs = append(o.TLSSANs, splitList(value)...)
	case "write-kubeconfig-mode":
		return o.setKubeconfigMode(value)
	case "disable":
		for _, addOn := range splitList(value) {
			if err := o.disable(addOn); err != nil {
				return err
			}
		}
	default:
		return o.addExtra(strings.TrimSuffix(name, "-arg"), value)
	}
	return nil
}

// nodeName is what Kubernetes takes as a node's name, which is also its label: lower case, as in a host name.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// CheckNodeName says why a node cannot have this name. The API server would say it too, but only in the kubelet's log.
func CheckNodeName(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf("%q cannot be a node's name: it may have at most 63 lower-case letters, digits, dots and hyphens, and a letter or digit at both ends", name)
	}
	return nil
}

// checkServer says why an agent cannot find its server.
func (o *Options) checkServer() error {
	if o.ServerURL == "" {
		return fmt.Errorf("an agent needs the address of its server: --server=https://NAME:6443")
	}
	address, err := url.Parse(o.ServerURL)
	if err != nil || address.Scheme != "https" || address.Hostname() == "" || strings.Trim(address.Path, "/") != "" {
		return fmt.Errorf("%q is not the address of a server: it has the form https://NAME:6443", o.ServerURL)
	}
	o.ServerURL = "https://" + address.Host
	return nil
}

func (o *Options) setKubeconfigMode(value string) error {
	mode, err := strconv.ParseUint(value, 8, 9)
	if err != nil {
		return fmt.Errorf("%q is not a file mode such as 0644", value)
	}
	o.KubeconfigMode = fs.FileMode(mode)
	return nil
}

func (o *Options) disable(addOn string) error {
	switch {
	case slices.Contains(addOns, addOn):
		o.Disabled = append(o.Disabled, addOn)
	case slices.Contains(absentAddOns, addOn):
		o.Notes = append(o.Notes, fmt.Sprintf("--disable=%s has no effect: this node does not have it", addOn))
	default:
		return fmt.Errorf("%q is not an add-on of this node: it has %s", addOn, strings.Join(addOns, " and "))
	}
	return nil
}

// addExtra keeps a component's flag, given as `name=value` or, for a switch, as `name`.
func (o *Options) addExtra(component, value string) error {
	name, flagValue, hasValue := strings.Cut(value, "=")
	name = strings.TrimPrefix(name, "--")
	if !flagName.MatchString(name) {
		return fmt.Errorf("%q is not of the form name=value", value)
	}
	if !hasValue {
		flagValue = "true"
	}
	o.Extra[component] = append(o.Extra[component], Flag{name, flagValue})
	return nil
}

func splitList(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

// IsDisabled says whether the caller does not want this add-on.
func (o Options) IsDisabled(addOn string) bool { return slices.Contains(o.Disabled, addOn) }

package plan

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestOptionsAreReadFromFlags(t *testing.T) {
	o, err := ParseOptions(Server, []string{
		"--disable=traefik,coredns", "--tls-san=a.example,10.9.8.7", "--tls-san", "b.example", "--node-name=n1",
		"--kube-controller-manager-arg=horizontal-pod-autoscaler-sync-period=5s", "--kubelet-arg", "v=2",
		"--kube-apiserver-arg=feature-gates=A=true,B=false", "--kube-proxy-arg=masquerade-all",
	}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.TLSSANs, []string{"a.example", "10.9.8.7", "b.example"}) {
		t.Errorf("TLS names: %v", o.TLSSANs)
	}
	if o.NodeName != "n1" || !o.IsDisabled("coredns") || o.IsDisabled("local-storage") {
		t.Errorf("got %+v", o)
	}
	if len(o.Notes) != 1 || !strings.Contains(o.Notes[0], "traefik") {
		t.Errorf("what has no effect is not said: %q", o.Notes)
	}
	for component, want := range map[string]Flag{
		"kube-controller-manager": {"horizontal-pod-autoscaler-sync-period", "5s"},
		"kubelet":                 {"v", "2"},
		"kube-apiserver":          {"feature-gates", "A=true,B=false"},
		"kube-proxy":              {"masquerade-all", "true"},
	} {
		if got := o.Extra[component]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %v", component, got, want)
		}
	}
}

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	getenv := environment(map[string]string{
		"K3S_NODE_NAME": "by-env", "K3S_RESOLV_CONF": "/env", "K3S_KUBECONFIG_MODE": "644", "HOLDFAST_UNSAFE_NO_FSYNC": "0",
	})
	o, err := ParseOptions(Server, []string{"--node-name=by-flag"}, getenv)
	if err != nil {
		t.Fatal(err)
	}
	if o.NodeName != "by-flag" || o.ResolvConf != "/env" || o.KubeconfigMode != fs.FileMode(0o644) || o.UnsafeNoFsync {
		t.Errorf("got %+v", o)
	}
}

func TestDefaults(t *testing.T) {
	o, err := ParseOptions(Server, nil, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if o.KubeconfigMode != 0o600 || !o.UnsafeNoFsync || o.NodeName != "" {
		t.Errorf("got %+v", o)
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--cluster-init"}, "unknown flag --cluster-init"},
		{[]string{"--cluster-init=true"}, "unknown flag --cluster-init"},
		{[]string{"agent"}, `"agent" is not a flag`},
		{[]string{"--node-name"}, "--node-name needs a value"},
		{[]string{"--node-name="}, "--node-name: the value is empty"},
		{[]string{"--node-name=My_Laptop"}, `"My_Laptop" cannot be a node's name`},
		{[]string{"--disable=everything"}, `"everything" is not an add-on`},
		{[]string{"--kubelet-arg==x"}, "not of the form name=value"},
		{[]string{"--kubelet-arg=v+=x"}, "not of the form name=value"},
		{[]string{"--write-kubeconfig-mode=rw"}, "not a file mode"},
		{[]string{"--write-kubeconfig-mode=7777"}, "not a file mode"},
	} {
		if _, err := ParseOptions(Server, c.args, environment(nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got the error %v, want one with %q", c.args, err, c.want)
		}
	}
	_, err := ParseOptions(Server, nil, environment(map[string]string{"K3S_KUBECONFIG_MODE": "x"}))
	if err == nil || !strings.Contains(err.Error(), "K3S_KUBECONFIG_MODE") {
		t.Errorf("got %v", err)
	}
}

func TestAnAgentsOptions(t *testing.T) {
	o, err := ParseOptions(Agent, []string{"--server=https://n1:6443/", "--token-file=/join", "--kubelet-arg=v=2"}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if o.Role != Agent || o.ServerURL != "https://n1:6443" || o.TokenFile != "/join" || len(o.Extra["kubelet"]) != 1 {
		t.Errorf("got %+v", o)
	}
	byEnvironment := environment(map[string]string{"K3S_URL": "https://n1:6443", "K3S_TOKEN_FILE": "/env"})
	if o, err = ParseOptions(Agent, []string{"--token-file=/flag"}, byEnvironment); err != nil || o.ServerURL != "https://n1:6443" || o.TokenFile != "/flag" {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestWrongOptionsOfAnAgentAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "needs the address of its server"},
		{[]string{"--server=n1:6443"}, `"n1:6443" is not the address of a server`},
		{[]string{"--server=http://n1:6443"}, "not the address of a server"},
		{[]string{"--server=https://n1:6443/path"}, "not the address of a server"},
		{[]string{"--server=https://n1:6443", "--disable=coredns"}, "unknown flag --disable"},
		{[]string{"--server=https://n1:6443", "--token=K10"}, "unknown flag --token"},
	} {
		if _, err := ParseOptions(Agent, c.args, environment(nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got the error %v, want one with %q", c.args, err, c.want)
		}
	}
	if _, err := ParseOptions(Server, []string{"--server=https://n1:6443"}, environment(nil)); err == nil {
		t.Error("a server takes another server's address")
	}
}

package plan

import (
	"net"
	"slices"
	"strings"
	"testing"
)

func TestCallersFlagsReplaceTheNodes(t *testing.T) {
	node := Node{Name: "n1", IP: "172.17.0.2", BridgeFiltered: true, Options: Options{Extra: map[string][]Flag{
		"kube-apiserver": {{"enable-admission-plugins", "A"}, {"enable-admission-plugins", "B"}, {"v", "2"}},
	}}}
	args := node.APIServer().Args
	if slices.Contains(args, "--enable-admission-plugins=NodeRestriction") {
		t.Error("the node's own value is still there")
	}
	for _, want := range []string{"--enable-admission-plugins=A", "--enable-admission-plugins=B", "--v=2", "--advertise-address=172.17.0.2"} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is missing in %q", want, args)
		}
	}
}

func TestNoComponentRepeatsAFlag(t *testing.T) {
	node := Node{Name: "n1", IP: "172.17.0.2", Options: Options{UnsafeNoFsync: true}}
	for _, component := range []Component{
		node.Containerd(), node.Etcd(), node.APIServer(), node.ControllerManager(), node.Scheduler(), node.Kubelet(), node.Proxy(),
		agent.Kubelet(), agent.Proxy(),
	} {
		seen := map[string]bool{}
		for _, arg := range component.Args {
			name, _, _ := strings.Cut(arg, "=")
			if seen[name] {
				t.Errorf("%s has %s twice", component.Name, name)
			}
			seen[name] = true
		}
	}
}

func TestTheCallerDecidesTheAutoscalersPeriod(t *testing.T) {
	for _, arg := range (Node{}).ControllerManager().Args {
		if strings.HasPrefix(arg, "--horizontal-pod-autoscaler-sync-period") {
			t.Errorf("the node sets %s", arg)
		}
	}
}

func TestNoComponentSignsInAsAdministrator(t *testing.T) {
	node := Node{Name: "n1"}
	for _, component := range []Component{node.ControllerManager(), node.Scheduler(), node.Kubelet(), node.Proxy()} {
		if !slices.Contains(component.Args, "--kubeconfig="+Credential(component.Name)) {
			t.Errorf("%s has no credential of its own: %q", component.Name, component.Args)
		}
	}
}

// agent is a node that joined n1.
var agent = Node{Name: "n2", IP: "172.17.0.3", Options: Options{Role: Agent, ServerURL: "https://n1:6443"}}

func TestAnAgentHasOneIdentityAndNothingOfTheServers(t *testing.T) {
	for _, component := range []Component{agent.Kubelet(), agent.Proxy(), agent.Containerd()} {
		for _, arg := range component.Args {
			if strings.Contains(arg, "/server/") {
				t.Errorf("%s has %s", component.Name, arg)
			}
		}
	}
	for _, component := range []Component{agent.Kubelet(), agent.Proxy()} {
		if !slices.Contains(component.Args, "--kubeconfig="+NodeCredential) {
			t.Errorf("%s signs in otherwise: %q", component.Name, component.Args)
		}
	}
	if !slices.Contains(agent.Kubelet().Args, "--bootstrap-kubeconfig="+JoinCredential) {
		t.Error("the kubelet cannot ask for its first certificate")
	}
	if slices.Contains(Node{}.Kubelet().Args, "--bootstrap-kubeconfig="+JoinCredential) {
		t.Error("the server's kubelet asks for a certificate")
	}
}

func TestFsyncIsOffOnlyWhereAsked(t *testing.T) {
	for _, off := range []bool{true, false} {
		node := Node{Options: Options{UnsafeNoFsync: off}}
		if slices.Contains(node.Etcd().Args, "--unsafe-no-fsync=true") != off {
			t.Errorf("asked for %v, got %q", off, node.Etcd().Args)
		}
	}
}

func TestEtcdListensOnNoPort(t *testing.T) {
	for _, arg := range (Node{}).Etcd().Args {
		if strings.HasPrefix(arg, "--listen-") && !strings.Contains(arg, "=unix://") {
			t.Errorf("a pod in the host's network could reach %s", arg)
		}
	}
}

func TestServicesAreMasqueradedWithoutBridgeFilter(t *testing.T) {
	for _, filtered := range []bool{true, false} {
		if slices.Contains(Node{BridgeFiltered: filtered}.Proxy().Args, "--masquerade-all=true") == filtered {
			t.Errorf("wrong with BridgeFiltered %v", filtered)
		}
	}
}

func TestServingNames(t *testing.T) {
	node := Node{Name: "N1", IP: "172.17.0.2", Options: Options{TLSSANs: []string{"a.example", "10.9.8.7", "localhost"}}}
	names, addresses := node.ServingNames()
	for _, want := range []string{"localhost", "n1", "a.example", "kubernetes.default.svc"} {
		if count(names, want) != 1 {
			t.Errorf("%s is not exactly once in %q", want, names)
		}
	}
	for _, want := range []string{"127.0.0.1", "172.17.0.2", "10.43.0.1", "10.9.8.7"} {
		if !slices.ContainsFunc(addresses, net.ParseIP(want).Equal) {
			t.Errorf("%s is missing in %v", want, addresses)
		}
	}
}

func count(all []string, wanted string) (n int) {
	for _, one := range all {
		if one == wanted {
			n++
		}
	}
	return n
}

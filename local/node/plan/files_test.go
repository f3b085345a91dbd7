package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestAdminKubeconfigHasK3sNamesAndTheCredential(t *testing.T) {
	data, err := AdminKubeconfig([]byte("CA"), []byte("CERT"), []byte("KEY"))
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		CurrentContext string `json:"current-context"`
		Clusters       []struct {
			Name    string
			Cluster map[string]string
		}
		Users []struct {
			Name string
			User map[string]string
		}
	}
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		t.Fatal(err)
	}
	cluster, user := parsed.Clusters[0], parsed.Users[0]
	if parsed.CurrentContext != "default" || cluster.Name != "default" || user.Name != "default" {
		t.Errorf("other names than k3s's: %s", data)
	}
	if cluster.Cluster["server"] != "https://127.0.0.1:6443" || user.User["client-key-data"] != "S0VZ" {
		t.Errorf("got %s", data)
	}
	// testcontainers rewrites the address by a pattern of this form.
	if !strings.Contains(string(data), "server: https://127.0.0.1:6443\n") {
		t.Errorf("testcontainers would not find the server in %s", data)
	}
}

func TestKubeletConfigurationIsClosedAndNeverEvictsByDisk(t *testing.T) {
	data, err := Node{}.KubeletConfiguration()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"enabled: false", "mode: Webhook", "imageGCHighThresholdPercent: 100", "nodefs.available: 0%",
		"failCgroupV1: false", "resolvConf: " + ResolvConf, "tlsCertFile: " + Certificate("kubelet-server"),
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q is missing in\n%s", want, data)
		}
	}
}

func TestAnAgentsKubeletAsksTheClusterForItsCertificates(t *testing.T) {
	data, err := agent.KubeletConfiguration()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rotateCertificates: true", "serverTLSBootstrap: true", "clientCAFile: " + AgentAuthority, "mode: Webhook"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q is missing in\n%s", want, data)
		}
	}
	if strings.Contains(string(data), TLS) {
		t.Errorf("it names files of the server: %s", data)
	}
}

func TestAnAgentJoinsAtTheServerWithTheTokenAlone(t *testing.T) {
	const bearer = "id.word"
	data, err := agent.JoinKubeconfig(JoinToken{Bearer: bearer})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"server: https://n1:6443\n", "token: " + bearer, "certificate-authority: " + AgentAuthority} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q is missing in\n%s", want, data)
		}
	}
	if strings.Contains(string(data), "client-") {
		t.Errorf("it has more than the token: %s", data)
	}
}

func TestCNIConfigurationUsesTheNodesRange(t *testing.T) {
	data, err := CNIConfiguration("10.42.3.0/24")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) || !strings.Contains(string(data), `"subnet": "10.42.3.0/24"`) {
		t.Errorf("got %s", data)
	}
	if strings.Contains(string(data), "ipMasq") {
		t.Error("pods of another node would not see a pod's own address")
	}
}

func TestNameServers(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       []string
	}{
		{"plain", "nameserver 192.168.1.1\nnameserver 1.1.1.1\nsearch lan\n", []string{"192.168.1.1", "1.1.1.1"}},
		{"loopback is another one in a pod", "nameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.2\n", []string{"10.0.0.2"}},
		{"Docker's own, with those behind it", "nameserver 127.0.0.11\n# ExtServers: [10.0.0.2 host(192.168.1.1) host(127.0.0.53)]\n", []string{"10.0.0.2", "192.168.1.1"}},
		{"Docker's own alone", "nameserver 127.0.0.11\noptions ndots:0\n", nil},
		{"no more than a resolver reads", "nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n", []string{"1.0.0.1", "1.0.0.2", "1.0.0.3"}},
		{"link-local", "nameserver fe80::1%eth0\nnameserver 2001:db8::1\n", []string{"2001:db8::1"}},
		{"nonsense", "nameserver\nnameserver here\n# nameserver 1.1.1.1\n", nil},
		{"empty", "", nil},
	} {
		if got := NameServers(c.file); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestResolverFileAlwaysNamesAServerThatIsNotLoopback(t *testing.T) {
	for _, servers := range [][]string{nil, {"1.1.1.1"}, {"1.1.1.1", "10.0.0.2"}} {
		if got := NameServers(ResolverFile(servers)); len(got) != max(1, len(servers)) {
			t.Errorf("%q: CoreDNS would find %q", servers, got)
		}
	}
}

func TestRegistryHostFiles(t *testing.T) {
	files, notes, err := RegistryHostFiles([]byte(`
mirrors:
  docker.io:
    endpoint: ["http://registry:5000", "https://other/v2/proxy/"]
    rewrite: {"^a": "b"}
  "*": {endpoint: ["http://registry:5000"]}
  quay.io: {}
configs:
  registry:5000: {auth: {username: u}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"docker.io": "[host.\"http://registry:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n" +
			"[host.\"https://other/v2/proxy\"]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = true\n",
		"_default": "[host.\"http://registry:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
		"quay.io":  "",
	}
	for host, file := range want {
		if files[host] != file {
			t.Errorf("%s: got\n%swant\n%s", host, files[host], file)
		}
	}
	if len(files) != len(want) || len(notes) != 2 {
		t.Errorf("got %d files, notes %q", len(files), notes)
	}
}

func TestWrongRegistriesAreRefused(t *testing.T) {
	for _, file := range []string{
		"mirrors: [a]", "mirrors: {a: {endpoint: [registry:5000]}}", "mirrors: {a: {endpoint: ['ftp://x']}}",
		"mirrors: {'../a': {}}", "mirror: {}",
	} {
		if _, _, err := RegistryHostFiles([]byte(file)); err == nil {
			t.Errorf("%s: no error", file)
		}
	}
}

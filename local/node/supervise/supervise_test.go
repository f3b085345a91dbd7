package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast.local/node/plan"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHierarchies(t *testing.T) {
	v1, unified := parseHierarchies("9:name=systemd:/docker/a\n8:cpu,cpuacct:/docker/a\n7:pids:/docker/a\n0::/docker/a\n")
	if unified || len(v1) != 3 {
		t.Fatalf("got %v, unified %v", v1, unified)
	}
	for i, want := range [][2]string{{"systemd", "none,name=systemd"}, {"cpu,cpuacct", "cpu,cpuacct"}, {"pids", "pids"}} {
		if got := [2]string{v1[i].folder(), v1[i].options()}; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if v1, unified = parseHierarchies("0::/\n"); !unified || len(v1) != 0 {
		t.Errorf("version 2: got %v, unified %v", v1, unified)
	}
}

func TestPodProcessesOfBothVersions(t *testing.T) {
	for _, tree := range []string{"kubepods", "pids/kubepods"} {
		root := t.TempDir()
		write(t, filepath.Join(root, tree, "cgroup.procs"), "")
		write(t, filepath.Join(root, tree, "besteffort/pod1/a/cgroup.procs"), "12\n13\n")
		write(t, filepath.Join(root, tree, "pod2/b/cgroup.procs"), "14\n")
		pids, err := podProcesses(root)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(pids)
		if !slices.Equal(pids, []int{12, 13, 14}) {
			t.Errorf("%s: got %v", tree, pids)
		}
	}
	if pids, err := podProcesses(t.TempDir()); err != nil || len(pids) != 0 {
		t.Errorf("without any pod: %v, %v", pids, err)
	}
}

func TestALogBeginsAnewAndKeepsTheOneBefore(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "kube", "x.log"), "the last run\n")
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(log, strings.Repeat("line\n", 100)+"the end\n")
	if old, err := os.ReadFile(path + ".1"); err != nil || string(old) != "the last run\n" {
		t.Errorf("the log before: %q, %v", old, err)
	}
	lines, err := lastLines(path, 2)
	if err != nil || !slices.Equal(lines, []string{"line", "the end"}) {
		t.Errorf("got %q, %v", lines, err)
	}
	log.size = maxLogSize
	fmt.Fprint(log, "new file\n")
	if content, err := os.ReadFile(path); err != nil || string(content) != "new file\n" {
		t.Errorf("after the rotation: %q, %v", content, err)
	}
}

func TestTheEndOfALogThatIsLongerThanItsWindow(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "x.log"), strings.Repeat("0123456789abcdef\n", 10_000)+"end")
	lines, err := lastLines(path, 30)
	if err != nil || len(lines) != 30 || lines[29] != "end" {
		t.Errorf("got %d lines, %v", len(lines), err)
	}
}

func TestExitText(t *testing.T) {
	for script, want := range map[string]string{"exit 0": "exit code 0", "exit 3": "exit code 3", "kill -9 $$": "signal: killed"} {
		if got := exitText(exec.Command("sh", "-c", script).Run()); got != want {
			t.Errorf("%s: got %q, want %q", script, got, want)
		}
	}
}

func TestTheNodesNameBelongsToItsData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server", "node-name")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if name, err := chooseNodeName("", path); err != nil || name != strings.ToLower(host) {
		t.Errorf("at first: %q, %v", name, err)
	}
	write(t, path, "kept\n")
	for _, asked := range []string{"", "kept"} {
		if name, err := chooseNodeName(asked, path); err != nil || name != "kept" {
			t.Errorf("asked for %q: got %q, %v", asked, name, err)
		}
	}
	if _, err := chooseNodeName("other", path); err == nil || !strings.Contains(err.Error(), `"kept"`) {
		t.Errorf("another name: %v", err)
	}
}

func TestRegistryHostsFollowTheFile(t *testing.T) {
	folder := t.TempDir()
	registries, hosts := filepath.Join(folder, "registries.yaml"), filepath.Join(folder, "certs.d")
	stale := write(t, filepath.Join(hosts, "gone.example", "hosts.toml"), "x")
	write(t, registries, "mirrors: {docker.io: {endpoint: ['http://r:5000']}}")
	if err := writeRegistryHosts(registries, hosts); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(hosts, "docker.io", "hosts.toml")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a mirror of the last start is still there: %v", err)
	}
	if err := writeRegistryHosts(filepath.Join(folder, "absent.yaml"), hosts); err != nil {
		t.Errorf("no file: %v", err)
	}
}

func TestManifests(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "b.yaml"), `# a comment
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: two}}
- {apiVersion: v1, kind: Secret, metadata: {name: three}}
`)
	write(t, filepath.Join(folder, "a.json"), `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "zero"}}`)
	write(t, filepath.Join(folder, "coredns.yaml"), `{apiVersion: v1, kind: Pod, metadata: {name: disabled}}`)
	write(t, filepath.Join(folder, "note.txt"), `not a manifest`)
	all, err := loadManifests(folder, []string{"coredns"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range all {
		names = append(names, m.object.GetName())
	}
	if !slices.Equal(names, []string{"zero", "one", "two", "three"}) {
		t.Errorf("got %q", names)
	}
	if all, err := loadManifests(filepath.Join(folder, "absent"), nil); err != nil || all != nil {
		t.Errorf("an absent folder: %v, %v", all, err)
	}
}

func TestAWrongManifestIsNamed(t *testing.T) {
	for _, content := range []string{"a: [", "kind: Pod", "- a", "{apiVersion: v1, kind: Pod, metadata: {}}"} {
		path := write(t, filepath.Join(t.TempDir(), "wrong.yaml"), content)
		if _, err := loadManifests(filepath.Dir(path), nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// The manifests of the image must load, and no image may be pulled: there may be no registry.
func TestBakedManifestsPullNothing(t *testing.T) {
	all, err := loadManifests("../manifests", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Errorf("only %d objects", len(all))
	}
	for _, m := range all {
		data, err := m.object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), `"image":`) && !strings.Contains(string(data), `"imagePullPolicy":"IfNotPresent"`) {
			t.Errorf("%s pulls its image", m)
		}
	}
	withoutDNS, err := loadManifests("../manifests", []string{"coredns"})
	if err != nil || len(withoutDNS) >= len(all) {
		t.Errorf("--disable=coredns leaves %d of %d objects, %v", len(withoutDNS), len(all), err)
	}
}

func TestAPodOfTheLastRunIsNotReady(t *testing.T) {
	started := time.Now()
	pod := func(node string, since time.Time, ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
			ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)},
			}}},
		}}
	}
	for _, c := range []struct {
		pod  *corev1.Pod
		want bool
	}{
		{pod("own", started.Add(-time.Minute), corev1.ConditionTrue), false},
		{pod("own", started.Truncate(time.Second), corev1.ConditionTrue), true},
		{pod("own", started.Add(time.Second), corev1.ConditionFalse), false},
		{pod("other", started.Add(-time.Minute), corev1.ConditionTrue), true}, // it went on running
		{pod("other", started.Add(-time.Minute), corev1.ConditionFalse), false},
		{&corev1.Pod{}, false},
	} {
		if got, state := podReady(c.pod, "own", started); got != c.want {
			t.Errorf("%+v: got %v (%s)", c.pod.Status, got, state)
		}
	}
}

func TestTheRecordOfImportedImages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent", "record.json")
	record, err := readRecord(path)
	if err != nil || len(record) != 0 {
		t.Fatalf("at first: %v, %v", record, err)
	}
	record["/a.tar"] = fingerprint{Size: 1, Modified: 2}
	if err := writeRecord(path, record); err != nil {
		t.Fatal(err)
	}
	if again, err := readRecord(path); err != nil || again["/a.tar"] != record["/a.tar"] {
		t.Errorf("got %v, %v", again, err)
	}
	write(t, path, "{")
	if _, err := readRecord(path); err == nil {
		t.Error("a broken record is read in silence")
	}
}

func TestComponentsAreWatchedAndStopped(t *testing.T) {
	running := newProcesses(t.TempDir())
	if err := running.startAll(plan.Component{Name: "sleep", Args: []string{"60"}}); err != nil {
		t.Fatal(err)
	}
	running.stop(2*time.Second, "sleep", "never-started")
	select {
	case ended := <-running.ended:
		if text := ended.obituary(); !strings.Contains(text, "sleep ended by itself: signal: terminated") {
			t.Errorf("got %q", text)
		}
	case <-time.After(5 * time.Second):
		t.Error("nobody was told")
	}
}

func TestAComponentIsStartedAgainEachTimeLaterUnlessItEndsOftenInAMinute(t *testing.T) {
	var again restarts
	now := time.Now()
	for end, want := range []bool{true, true, true, false} {
		pause, allowed := again.after("kubelet", now.Add(time.Duration(end)*time.Second))
		if allowed != want {
			t.Errorf("end %d: not %v", end+1, want)
		}
		if pause != time.Duration(end)*restartPause {
			t.Errorf("end %d: after %v", end+1, pause)
		}
	}
	if pause, allowed := again.after("kube-proxy", now); !allowed || pause != 0 {
		t.Error("another component's ends count")
	}
	if pause, allowed := again.after("kubelet", now.Add(restartsWithin+3*time.Second)); !allowed || pause != 0 {
		t.Error("ends of long ago count")
	}
}

// watching keeps a component running until it is watched no more, and returns the exit code.
func watching(t *testing.T, component plan.Component, work func(running *processes, stop func())) int {
	t.Helper()
	running := newProcesses(t.TempDir())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := running.start(component); err != nil {
		t.Fatal(err)
	}
	code := make(chan int, 1)
	go func() { code <- watch(ctx, running, nil) }()
	work(running, stop)
	select {
	case exitCode := <-code:
		running.stop(time.Second, component.Name)
		return exitCode
	case <-time.After(10 * time.Second):
		t.Fatal("it is watched for ever")
		return -1
	}
}

func pidOf(running *processes, name string) int {
	running.mutex.Lock()
	defer running.mutex.Unlock()
	return running.all[name].command.Process.Pid
}

func TestAKilledComponentRunsAgainAndTheNodeGoesOn(t *testing.T) {
	exitCode := watching(t, plan.Component{Name: "sleep", Args: []string{"60"}}, func(running *processes, stop func()) {
		before := pidOf(running, "sleep")
		running.signal(syscall.SIGKILL, []string{"sleep"})
		for deadline := time.Now().Add(5 * time.Second); pidOf(running, "sleep") == before; time.Sleep(pollEvery) {
			if time.Now().After(deadline) {
				t.Fatal("it was not started again")
			}
		}
		stop()
	})
	if exitCode != exitStopped {
		t.Errorf("exit code %d", exitCode)
	}
}

func TestAComponentThatCannotRunTakesTheNodeWithIt(t *testing.T) {
	if exitCode := watching(t, plan.Component{Name: "false"}, func(*processes, func()) {}); exitCode != exitFailed {
		t.Errorf("exit code %d", exitCode)
	}
}

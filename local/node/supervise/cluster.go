package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"holdfast.local/node/files"
	"holdfast.local/node/plan"
)

// pollEvery is short, since all that is polled is on this machine.
const pollEvery = 50 * time.Millisecond

// cluster speaks to the cluster's API server.
type cluster struct {
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	rest    rest.Interface
}

func openCluster(kubeconfig string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	config.QPS = -1 // no limit: the client is part of the start
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return &cluster{typed, untyped, typed.CoreV1().RESTClient()}, nil
}

// until repeats a question until it is answered with yes. While it is no, the state is told every half a minute.
func until(ctx context.Context, what string, question func(context.Context) (yes bool, state string)) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	tell := time.NewTicker(30 * time.Second)
	defer tell.Stop()
	for {
		yes, state := question(ctx)
		if yes {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-tell.C:
			say("still waiting for %s: %s", what, state)
		case <-ticker.C:
		}
	}
}

// waitForSocket waits until a component takes connections at its socket.
func waitForSocket(ctx context.Context, component, path string) error {
	return until(ctx, component, func(context.Context) (bool, string) {
		connection, err := net.Dial("unix", path)
		if err == nil {
			err = connection.Close()
		}
		if err != nil {
			return false, err.Error()
		}
		return true, ""
	})
}

// waitForAPI waits until the API server says that it is ready.
func (c *cluster) waitForAPI(ctx context.Context) error {
	return until(ctx, "the API server", c.answers)
}

func (c *cluster) answers(ctx context.Context) (yes bool, state string) {
	body, err := c.rest.Get().AbsPath("/readyz").DoRaw(ctx)
	if err != nil {
		return false, fmt.Sprintf("%v %s", err, body)
	}
	return true, ""
}

// connectPods writes the CNI configuration as soon as the node has been given its range of pod addresses.
func (c *cluster) connectPods(ctx context.Context, nodeName string) error {
	var podCIDR string
	err := until(ctx, "the node's pod addresses", func(ctx context.Context) (bool, string) {
		node, err := c.typed.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		podCIDR = node.Spec.PodCIDR
		return podCIDR != "", "the controller manager has not given any"
	})
	if err != nil {
		return err
	}
	configuration, err := plan.CNIConfiguration(podCIDR)
	if err != nil {
		return fmt.Errorf("make the CNI configuration: %w", err)
	}
	return files.Write(plan.CNIConfig, configuration, 0o644)
}

// markNotReady takes back what the last run reported of the node, before the kubelet starts.
//
// It is the truth, and it spares the node ten seconds: a kubelet that reads of its own readiness from before skips its
// quick reports, finds that the container runtime has not answered yet, and next looks when the usual period is over.
func (c *cluster) markNotReady(ctx context.Context, nodeName string) error {
	now := metav1.Now()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "NodeStarting", Message: "the node starts again",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}}}})
	if err != nil {
		return fmt.Errorf("mark the node as not ready: %w", err)
	}
	_, err = c.typed.CoreV1().Nodes().PatchStatus(ctx, nodeName, patch)
	if err != nil && !apierrors.IsNotFound(err) { // not found: the first start
		return fmt.Errorf("mark the node as not ready: %w", err)
	}
	return nil
}

// roleLabel is how k3s, and everyone else, marks the node that has the API server.
const roleLabel = "node-role.kubernetes.io/control-plane"

// markServer labels the server's node. A kubelet may not do that for itself.
func (c *cluster) markServer(ctx context.Context, nodeName string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{roleLabel: "true"}}})
	if err != nil {
		return fmt.Errorf("mark the server's node: %w", err)
	}
	if _, err = c.typed.CoreV1().Nodes().Patch(ctx, nodeName, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("mark the server's node: %w", err)
	}
	return nil
}

// waitForNode waits until the kubelet reports the node ready. It is this start's kubelet: see markNotReady.
func (c *cluster) waitForNode(ctx context.Context, nodeName string) error {
	return until(ctx, "the node to be Ready", func(ctx context.Context) (bool, string) {
		node, err := c.typed.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status == corev1.ConditionTrue, condition.Message
			}
		}
		return false, "the kubelet has not reported"
	})
}

// waitForDNS waits until a CoreDNS is ready: one that was started by this run, or one that went on running on another node.
func (c *cluster) waitForDNS(ctx context.Context, nodeName string, started time.Time) error {
	return until(ctx, "CoreDNS", func(ctx context.Context) (bool, string) {
		pods, err := c.typed.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
		if err != nil {
			return false, err.Error()
		}
		state := "it has no pod"
		for i := range pods.Items {
			var ready bool
			if ready, state = podReady(&pods.Items[i], nodeName, started); ready {
				return true, ""
			}
		}
		return false, state
	})
}

func podReady(pod *corev1.Pod, nodeName string, started time.Time) (ready bool, state string) {
	for _, container := range pod.Status.ContainerStatuses {
		// After a restart the API tells of this node's containers of the last run until its kubelet corrects it. It keeps whole seconds.
		running := container.State.Running
		isOld := pod.Spec.NodeName == nodeName && running != nil && running.StartedAt.Time.Before(started.Truncate(time.Second))
		if running == nil || isOld {
			return false, fmt.Sprintf("pod %s: container %s has not been started: %s", pod.Name, container.Name, waitingFor(container.State))
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue, fmt.Sprintf("pod %s: %s", pod.Name, condition.Message)
		}
	}
	return false, fmt.Sprintf("pod %s is %s", pod.Name, pod.Status.Phase)
}

func waitingFor(state corev1.ContainerState) string {
	if state.Waiting == nil {
		return "no reason given"
	}
	return state.Waiting.Reason + ": " + state.Waiting.Message
}

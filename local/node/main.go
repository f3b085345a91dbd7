// Command kube is every Kubernetes program of the node in one binary: it looks at the name it was called by.
//
// One binary is 156 MB where seven are 563 MB, and links in 6 seconds instead of 22.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // registers client-go's metrics, as upstream's mains do
	_ "k8s.io/component-base/metrics/prometheus/version"  // registers kubernetes_build_info
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"holdfast.local/node/plan"
	"holdfast.local/node/supervise"
)

func main() {
	os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:]))
}

// run is the program of this name. As the image's entrypoint the name is `node` and the role follows it, as in k3s.
func run(name string, args []string) (exitCode int) {
	switch name {
	case "server", "agent":
		return supervise.Run(plan.Role(name), args)
	case "node":
		if len(args) == 0 || (args[0] != "server" && args[0] != "agent") {
			fmt.Fprintf(os.Stderr, "node: the first argument is the role, `server` or `agent`; got %q\n", args)
			return 2
		}
		return supervise.Run(plan.Role(args[0]), args[1:])
	}
	if name == "kubectl" {
		// As in upstream's main: kubectl prints its errors itself, and CheckErr exits.
		kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
		return 0
	}
	component := newComponent(name)
	if component == nil {
		fmt.Fprintf(os.Stderr, "%s is none of the node's programs: call this one by the name of a Kubernetes component, or as `node server`\n", name)
		return 2
	}
	return cli.Run(component)
}

// newComponent is upstream's command for the component of this name, or nil.
func newComponent(name string) *cobra.Command {
	switch name {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		return controllers.NewControllerManagerCommand()
	case "kube-proxy":
		return proxy.NewProxyCommand()
	case "kube-scheduler":
		return scheduler.NewSchedulerCommand()
	case "kubelet":
		return kubelet.NewKubeletCommand(context.Background())
	}
	return nil
}

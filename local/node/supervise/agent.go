package supervise

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast.local/node/plan"
)

// bringUpAgent makes one more node of a cluster. Its server may be away: it is waited for.
func bringUpAgent(ctx context.Context, options plan.Options, running *processes) error {
	started := time.Now()
	node, err := prepare(ctx, options)
	if err != nil {
		return err
	}
	if err := running.start(node.Containerd()); err != nil {
		return err
	}
	group, waiting := errgroup.WithContext(ctx)
	group.Go(func() error { return prepareToJoin(waiting, node) })
	group.Go(func() error { return awaitImages(waiting) })
	if err := group.Wait(); err != nil {
		return err
	}
	if api, err := openCluster(plan.NodeCredential); err == nil { // else it joins for the first time
		if err := api.waitForAPI(ctx); err != nil {
			return err
		}
		if err := api.markNotReady(ctx, node.Name); err != nil {
			return err
		}
	}
	if err := running.start(node.Kubelet()); err != nil {
		return err
	}
	api, err := awaitIdentity(ctx)
	if err != nil {
		return err
	}
	say("the API server is reached (%s)", since(started))
	api.followPeers(ctx, node.Name)
	if err := running.start(node.Proxy()); err != nil {
		return err
	}
	return awaitNode(ctx, api, node, started)
}

// awaitIdentity waits until the cluster has signed the kubelet's certificate, and opens the cluster with it.
func awaitIdentity(ctx context.Context) (api *cluster, err error) {
	err = until(ctx, "the node's certificate", func(ctx context.Context) (bool, string) {
		var err error
		if api, err = openCluster(plan.NodeCredential); err != nil {
			return false, err.Error()
		}
		return api.answers(ctx)
	})
	return api, err
}

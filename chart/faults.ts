/** The fault switches of the service's pods, reached through the API server: their port is not for users. */
import { ENVIRONMENT, type FaultSwitch } from '#core'

const METRICS_PORT = 9464

/** @throws KubeError where the pod does not answer, or carries no switches (as in prod). */
export const faults: FaultSwitch = {
  async set({ kube }, pod, fault) {
    const path = `/api/v1/namespaces/${ENVIRONMENT}/pods/${pod}:${METRICS_PORT}/proxy/faults`
    await kube.request('PUT', path, { body: fault, type: 'application/json' })
  },
}

import { DATA_PLANE_NAME, type DataPlaneObject } from '@felucca/contract';
import { EXIT } from '../failure.ts';
import { ifAllowed, isSeen, seenValue } from '../kube/errors.ts';
import { show } from '../show/output.ts';
import { table } from '../show/table.ts';
import { BUILD, buildText } from '../version.ts';
import type { Context } from './context.ts';

/** This CLI and what runs in the cluster. What the control plane runs, the cluster does not know. */
export async function versionCommand({ kube, terminal, format }: Context): Promise<number> {
  const [dataPlane, { gitVersion: kubernetes }] = await Promise.all([
    ifAllowed(kube.get<DataPlaneObject>('DataPlane', undefined, DATA_PLANE_NAME)),
    kube.serverVersion(),
  ]);
  const operator = seenValue(dataPlane)?.status?.operatorVersion;
  const unknown = isSeen(dataPlane) ? 'has not said so yet' : 'hidden: you may not read the DataPlane';
  await show(terminal, format, {
    data: { cli: BUILD, operator: operator ?? null, kubernetes },
    text: () =>
      table(
        [],
        [
          ['CLI', buildText(BUILD)],
          ['Operator', operator ?? unknown],
          ['Kubernetes', kubernetes],
        ],
      ),
  });
  return EXIT.ok;
}

export {
  CHANGE_EFFECTS,
  type ChangeEffect,
  type ChildChange,
  changeOf,
  fixedChange,
  madeByOthers,
} from './child-change.ts';
export { liveWithDesired, twoRenderings } from './compare.ts';
export { type FieldOrigin, parameterOfEdit, parameterOfField } from './drift-parameter.ts';
export { changer, driftText, driftValue } from './drift-text.ts';
export type { Compare, FieldChange } from './fixed-fields.ts';
export { type ActualChildren, type PlannedChange, planUpdate } from './plan-update.ts';
export type { InstanceNames, InstanceVersion } from './preview.ts';

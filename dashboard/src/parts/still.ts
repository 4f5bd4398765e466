// A component that is drawn again only when something it was given has changed. Long lists are made of these: of hundreds
// of rows, few change within a second. Must not know what is in a row.
import { Component, type ComponentChild, type FunctionComponent } from "preact";

/** Everything that the component shows must come as a plain value: what it reads elsewhere does not wake it. */
export function still<P extends object>(draw: (props: P) => ComponentChild): FunctionComponent<P> {
  class Still extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return Object.keys(next).some((name) => next[name as keyof P] !== this.props[name as keyof P]);
    }

    render(): ComponentChild {
      return draw(this.props);
    }
  }
  return Still as unknown as FunctionComponent<P>;
}

// What is shown in place of something that is not there.
import { to } from "../route";

export function Missing({ what, why }: { what: string; why: string }) {
  return (
    <section class="card empty">
      <h1>{what} is not there</h1>
      <p>{why}</p>
      <p>
        <a href={to([])}>Back to the overview</a>
      </p>
    </section>
  );
}
